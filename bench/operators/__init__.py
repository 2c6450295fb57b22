"""The vocabulary: operators and their three readings, torch, cost and reference."""
