"""The pictures of the report, each a self-contained SVG."""
