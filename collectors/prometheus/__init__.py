"""Prometheus text: snapshots of dcgm-exporter and of serving engines, and what two of them say together."""
