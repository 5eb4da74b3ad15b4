"""The one helper that guesses what a misspelt name meant."""

from __future__ import annotations

from perfmodel.errors import nearest_hint, nearest_names


def test_case_and_marks_do_not_count() -> None:
    assert nearest_names("MobileNet-V2", ["mobilenet_v2", "vgg16"]) == ["mobilenet_v2"]


def test_names_that_contain_the_word_follow_those_that_are_like_it() -> None:
    known = ["an_extremely_long_yolo_network_name", "yolt", "alexnet"]
    assert nearest_names("yolo", known) == ["yolt", "an_extremely_long_yolo_network_name"]


def test_at_most_as_many_as_asked_for_and_none_below_the_cutoff() -> None:
    known = ["link1", "link2", "link3", "link4"]
    assert len(nearest_names("link", known)) == 3
    assert len(nearest_names("link", known, count=2)) == 2
    # l, i and n of "lion" and "link" agree in order: likeness 2 * 3 / 8
    assert nearest_names("lion", ["link"], cutoff=0.76) == []
    assert nearest_names("lion", ["link"], cutoff=0.75) == ["link"]
    assert nearest_names("zzz", known) == []
    assert nearest_names("zzz", known, cutoff=0.0) != []


def test_a_hint_names_the_nearest_or_all() -> None:
    assert nearest_hint("replicsa", ["seed", "replicas"]) == "did you mean 'replicas'?"
    assert nearest_hint("zzz", ["seed", "link"]) == "known: seed, link"
