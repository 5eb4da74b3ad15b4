"""Networks of Qualcomm AI Hub that no library of the pack has, written after their papers."""
