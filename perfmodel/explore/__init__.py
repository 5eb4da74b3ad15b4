"""What-if questions: sweeps, comparisons, the minimum phone, the best variant."""
