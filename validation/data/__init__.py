"""Readers of the published measurements, which stay outside the project."""
