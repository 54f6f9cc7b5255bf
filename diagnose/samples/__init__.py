"""Captures of real runs by this project; each folder says how it came about."""
