"""Writes the figures of the pages of docs/: printed outputs, tables and numbers in the prose."""
