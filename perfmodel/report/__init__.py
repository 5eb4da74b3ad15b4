"""Results for people: text, plots, pages, traces."""

from perfmodel import make_callable

make_callable(__name__)
