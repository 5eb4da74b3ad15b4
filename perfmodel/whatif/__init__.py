"""What-if questions: sweeps, comparisons, the minimum phone, the best variant."""

from perfmodel import make_callable

make_callable(__name__)
