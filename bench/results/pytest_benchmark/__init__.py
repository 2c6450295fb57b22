"""pytest-benchmark's JSON: a run written in its form, and its documents read as runs."""
