"""Workloads whose regime is known by other means than our own rules, their captures, and the scorer that reads them."""
