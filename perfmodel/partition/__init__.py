"""Plans: a network cut into segments on units and links."""

import perfmodel

perfmodel.make_callable(__name__)
