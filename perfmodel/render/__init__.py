"""Results for people: text, plots, pages, traces."""
