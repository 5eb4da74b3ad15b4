"""Accuracy out of sample: every experiment leaves out what it is asked about."""
