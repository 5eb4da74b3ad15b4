"""Sizes and sums of what kernels compute, for a graph's operators and for rows of measurements.

Sizes are whole numbers, or arrays of one shape with a value for each of many rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfmodel.graph.kinds import GATES

Size = Any
"""A whole number, or an array of shape (rows,)."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """`count` matrix products of m x k with k x n each."""

    m: Size
    n: Size
    k: Size
    count: Size = 1

    @property
    def macs(self) -> Size:
        """Multiply-accumulates of the direct algorithm."""
        return self.m * self.n * self.k * self.count

    @property
    def left_elements(self) -> Size:
        """Elements of the m x k matrices."""
        return self.count * (self.m * self.k)

    @property
    def right_elements(self) -> Size:
        """Elements of the k x n matrices: the weights of a layer."""
        return self.n * self.k * self.count

    @property
    def result_elements(self) -> Size:
        """Elements of the m x n matrices."""
        return self.count * self.m * self.n


def convolution(
    *, pixels: Size, window: Size, cin_of_group: Size, cout_of_group: Size, groups: Size
) -> Product:
    """A convolution as products: `pixels` of the result, batch included, `window` elements each."""
    return Product(m=pixels, n=cout_of_group, k=window * cin_of_group, count=groups)


def transposed_convolution(
    *, pixels: Size, window: Size, cin_of_group: Size, cout_of_group: Size, groups: Size
) -> Product:
    """A transposed convolution as products: each of the input's `pixels` spread over a window."""
    return Product(m=pixels, n=cout_of_group * window, k=cin_of_group, count=groups)


def recurrent_weights(kind: str, features: Size, hidden: Size) -> Size:
    """Weights of one direction without biases: gates x (features + hidden) x hidden.

    Rows of tables that time the recurrent part only have no features.
    """
    return GATES[kind] * ((features + hidden) * hidden)


def recurrent_macs(
    kind: str, features: Size, hidden: Size, steps: Size, cells: Size | None = None
) -> Size:
    """MACs of `steps` steps (time x batch x directions), each a product with every weight.

    `cells` are the units of an LSTM that are projected to `hidden` ones after every step.
    """
    if cells is None:
        return recurrent_weights(kind, features, hidden) * steps
    return (GATES[kind] * (features + hidden) * cells + cells * hidden) * steps
