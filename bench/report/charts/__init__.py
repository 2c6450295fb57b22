"""Pictures of a report's charts: one drawing a kind, as SVG for the page and as SVG or PNG files."""
