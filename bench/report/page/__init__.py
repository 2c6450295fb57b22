"""The HTML page of a report: template, style and script, put into one file."""
