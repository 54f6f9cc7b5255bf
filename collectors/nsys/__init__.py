"""Nsight Systems: SQLite exports, and the kernel sums that nsys stats prints."""
