"""ncnn's recurrent layers, with states as inputs and outputs where the file has them.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import NcnnLayer, NcnnNet, layer_types, one_input, view
from perfmodel.graph.kinds import GATES
from perfmodel.graph.ops import Shape

BIASES = {"LSTM": 4, "GRU": 4, "RNN": 1}
"""Vectors of biases of one direction; a GRU's new state has two."""
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}


@layer_types("LSTM GRU RNN")
def _recurrent(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Input (time, features); weights (gates, in), (gates, out) and bias for each direction."""
    x = _sequence(net, layer)
    states = STATES[layer.type]
    if len(layer.bottoms) not in (1, 1 + states) or len(layer.tops) not in (1, 1 + states):
        raise GraphError(f"{len(layer.bottoms)} inputs and {len(layer.tops)} outputs")
    out, size = layer.integer(0, 0), layer.integer(1, 0)
    directions = 2 if layer.integer(2, 0) == 2 else 1
    hidden = layer.integer(3, 0) or out if layer.type == "LSTM" else out
    rows = GATES[layer.type.lower()] * hidden * directions
    features = net.builder.shape(x)[-1]
    if out < 1 or rows < 1 or size != rows * features:
        raise GraphError(f"{size} weights do not fit {features} features and {out} outputs")
    names = [
        net.weights(layer, "weights", (rows, features)),
        net.weights(layer, "recurrent", (rows, out)),
        net.weights(layer, "bias", (directions * hidden * BIASES[layer.type],)),
    ]
    attrs: dict[str, Any] = {"hidden": out, "directions": directions, "return_sequences": True}
    if hidden != out:
        names.append(net.weights(layer, "projection", (directions * out, hidden)))
        attrs["cells"] = hidden
    given = [net.tensor(b) for b in layer.bottoms[1:]]
    if len(layer.tops) > 1:
        made = [(net.batch, directions, width) for width in (out, hidden)[:states]]
        attrs["state_shapes"] = tuple(net.builder.shape(s) for s in given) or tuple(made)
    attrs["time_major"] = False
    inputs = [x, *names, *given]
    return net.builder.add_op(layer.type.lower(), inputs, attrs, layer.name, layer.tops)


def _sequence(net: NcnnNet, layer: NcnnLayer) -> str:
    """The input as (batch, time, features); a vector is one step."""
    x = one_input(net, layer)
    shape: Shape = net.builder.shape(x)
    if len(shape) == 2:
        return view(net, layer, x, (shape[0], 1, shape[1]))
    if len(shape) != 3:
        raise GraphError(f"a recurrent layer needs (time, features), got a blob {shape}")
    return x
