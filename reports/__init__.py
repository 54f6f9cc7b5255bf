"""Readers: one file a format. Text is rendered from facts here and stored nowhere."""
