"""Results for people: tables on a terminal, Markdown, CSV and JSON."""
