"""Nsight Compute: CSV exports of every page and era, and .ncu-rep through the tool itself."""
