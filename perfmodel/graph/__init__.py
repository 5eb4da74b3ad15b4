"""Graphs of networks: types, shape inference, readers, the .tflite writer and the zoo."""

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph, Op, Tensor, check_graph

__all__ = ["Graph", "GraphBuilder", "Op", "Tensor", "check_graph"]
