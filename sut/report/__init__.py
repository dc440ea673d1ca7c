"""Pages, pictures and tables of results: plain HTML with inline SVG, JSON and CSV."""
