"""Trees as plain arrays answer what scikit-learn answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from perfmodel.cost_models.trees import Forest, empty_forest, forest_of
from perfmodel.errors import ProfileError


def _fitted(columns: int = 4) -> tuple[HistGradientBoostingRegressor, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, columns))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0)
    return HistGradientBoostingRegressor(max_iter=40, random_state=0).fit(x, y), x


def test_predictions_equal_those_of_scikit_learn_to_the_last_bit() -> None:
    model, x = _fitted()
    assert np.array_equal(forest_of(model).predict(x), model.predict(x))


@pytest.mark.slow
def test_a_specialised_forest_answers_like_the_full_one_at_the_known_value() -> None:
    model, x = _fitted()
    full = forest_of(model)
    x[:, 2] = 0.7
    pruned = full.specialise({2: 0.7})
    assert len(pruned.feature) < len(full.feature)
    assert 2 not in pruned.feature[pruned.left != np.arange(len(pruned.left))]
    np.testing.assert_allclose(pruned.predict(x), full.predict(x), rtol=1e-12)


@pytest.mark.slow
def test_plain_data_and_back_is_the_same_forest() -> None:
    model, x = _fitted()
    data = json.loads(json.dumps(forest_of(model).to_dict()))
    assert np.array_equal(Forest.from_dict(data, 4).predict(x), model.predict(x))


def test_rounding_thresholds_and_values_changes_predictions_by_little() -> None:
    model, x = _fitted()
    error = np.abs(forest_of(model).rounded(6).predict(x) - model.predict(x))
    assert np.median(error) < 1e-5


def test_a_forest_without_trees_is_its_baseline() -> None:
    assert empty_forest(0.5).predict(np.zeros((3, 2))).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("right", [0, 0, 0]),
        ("right", [99, 0, 0]),
        ("feature", [7, -1, -1]),
        ("feature", [0, -1]),
        ("number", [float("nan"), 1.0, 2.0]),
        ("number", ["a", 1.0, 2.0]),
        ("number", [[1.0], [2.0], [3.0]]),
        ("roots", [9]),
        ("roots", None),
        ("baseline", "x"),
    ],
)
def test_damaged_data_is_an_error(field: str, value: Any) -> None:
    good = {
        "baseline": 0.0,
        "roots": [0],
        "feature": [0, -1, -1],
        "number": [0.5, 1.0, 2.0],
        "right": [2, 0, 0],
    }
    assert Forest.from_dict(good, 2).predict(np.array([[0.0], [1.0]])).tolist() == [1.0, 2.0]
    with pytest.raises(ProfileError):
        Forest.from_dict({**good, field: value}, 2)


def test_a_chain_deeper_than_any_fitted_tree_is_refused() -> None:
    nodes = 301
    inner = [i % 2 == 0 and i < nodes - 1 for i in range(nodes)]
    data = {
        "baseline": 0.0,
        "roots": [0],
        "feature": [0 if i else -1 for i in inner],
        "number": [0.0] * nodes,
        "right": [i + 2 if inner[i] else 0 for i in range(nodes)],
    }
    with pytest.raises(ProfileError, match="deeper"):
        Forest.from_dict(data, 1)
