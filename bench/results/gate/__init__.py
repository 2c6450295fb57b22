"""The gate: whether a candidate is slower than its baseline, case by case, said only as surely as it is known."""
