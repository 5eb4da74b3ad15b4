"""Measurements: the canonical table, its checks, and the readers of tools' logs."""
