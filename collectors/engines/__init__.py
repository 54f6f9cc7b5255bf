"""Serving engines: rows of one table over one reader; an engine with habits of its own has a file."""
