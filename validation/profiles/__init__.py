"""Building the shipped profiles from the published measurements."""
