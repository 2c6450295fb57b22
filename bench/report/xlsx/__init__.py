"""A report as a workbook: numbers as numbers, live formulas over the assumptions, native charts."""
