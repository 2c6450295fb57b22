"""What came out: rows and runs, their files, statistics, comparisons."""
