"""Calibration: measurements in (a table, a log, this host, a spec sheet), a profile out."""
