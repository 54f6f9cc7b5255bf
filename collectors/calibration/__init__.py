"""This machine's own roofs: measured once while it is idle, stored, and read back for any number of threads."""
