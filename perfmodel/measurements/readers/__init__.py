"""Readers of the logs and exports of the field's tools."""
