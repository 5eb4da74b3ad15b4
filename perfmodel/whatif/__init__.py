"""What-if questions: sweeps, comparisons, the minimum phone, the best variant."""

import perfmodel

perfmodel.make_callable(__name__)
