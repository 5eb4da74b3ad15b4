"""The market's tables: chips and phones, from the folder of measurements."""
