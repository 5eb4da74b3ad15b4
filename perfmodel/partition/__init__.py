"""Plans: a network cut into segments on units and links."""

from perfmodel import make_callable

make_callable(__name__)
