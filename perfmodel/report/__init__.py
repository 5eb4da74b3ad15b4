"""Results for people: text, plots, pages, traces."""

import perfmodel

perfmodel.make_callable(__name__)
