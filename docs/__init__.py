"""The pages of perfmodel, and what writes their figures."""
