"""The parts of a report, one question each: from sides to text, charts and tables."""
