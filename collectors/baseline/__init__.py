"""Verdicts kept for comparison: a folder of JSON lines that a team commits or caches."""
