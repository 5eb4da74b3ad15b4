"""Graphs of networks: tensors and operators in order, how shapes follow, how a batch changes."""

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph, Op, Tensor, check_graph

__all__ = ["Graph", "GraphBuilder", "Op", "Tensor", "check_graph"]
