"""Recurrent networks: CRNN for reading text in images, an LSTM that completes text."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import image
from perfmodel.zoo.registry import BATCH, Parameter, ZooEntry


def lstm(
    g: GraphBuilder, x: str, hidden: int, directions: int = 1, return_sequences: bool = True
) -> str:
    """An LSTM over (batch, time, features): weights (directions, 4 hidden, ...), one bias."""
    features = g.shape(x)[2]
    weights = [g.constant((directions, 4 * hidden, n)) for n in (features, hidden)]
    bias = g.constant((directions, 4 * hidden))
    return g.op(
        "lstm",
        x,
        *weights,
        bias,
        hidden=hidden,
        directions=directions,
        return_sequences=return_sequences,
        time_major=False,
    )


def crnn(g: GraphBuilder, image_height: int, image_width: int, classes: int, batch: int) -> str:
    """CRNN (Shi et al. 2015): seven convolutions, two bidirectional LSTMs, one step per column.

    Grey images, 36 characters and the blank. At 32 rows the features are one row high; taller
    images give each column more features.
    """
    x = image(g, batch, (image_height, image_width), 1)
    x = g.pool(g.conv(x, 64, 3, activation="relu"), "max", 2, 2)
    x = g.pool(g.conv(x, 128, 3, activation="relu"), "max", 2, 2)
    x = g.conv(g.conv(x, 256, 3, activation="relu"), 256, 3, activation="relu")
    x = g.pool(x, "max", (2, 1), (2, 1))
    x = g.conv(g.conv(x, 512, 3, activation="relu"), 512, 3, activation="relu")
    x = g.pool(x, "max", (2, 1), (2, 1))
    x = g.conv(x, 512, 2, padding="valid", activation="relu")
    _, rows, columns, channels = g.shape(x)
    if rows > 1:
        x = g.op("transpose", x, perm=(0, 2, 1, 3))
    x = g.reshape(x, (batch, columns, rows * channels))
    x = lstm(g, x, 256, directions=2)
    x = lstm(g, g.fc(x, 256, keep_dims=True), 256, directions=2)
    return g.op("softmax", g.fc(x, classes, keep_dims=True))


def lstm_text(
    g: GraphBuilder, steps: int, hidden: int, layers: int, vocabulary: int, batch: int
) -> str:
    """A word-level LSTM language model that suggests the next word (Zaremba et al. 2014)."""
    words = g.input((batch, steps), "words", "int32")
    x = g.op("gather", g.constant((vocabulary, hidden), "embedding"), words, axis=0)
    for layer in range(layers):
        x = lstm(g, x, hidden, return_sequences=layer < layers - 1)
    return g.op("softmax", g.fc(x, vocabulary))


ENTRIES = (
    ZooEntry(
        name="crnn",
        title="CRNN / Bi-LSTM text recognition",
        family="crnn",
        task="text recognition",
        input_shape=(32, 100, 1),
        parameters=(
            Parameter("image_height", 32, 32, 512),
            Parameter("image_width", 100, 16, 4096),
            Parameter("classes", 37, 2, 100_000),
            BATCH,
        ),
        builder=crnn,
        seeds=("000",),
        note="MACs are not published. AI-Benchmark's test of this name uses 64 x 200 images: "
        "crnn@image_height=64,image_width=200.",
    ),
    ZooEntry(
        name="lstm_text",
        title="LSTM text completion",
        family="lstm_text",
        task="text completion",
        input_shape=(35,),
        parameters=(
            Parameter("steps", 35, 1, 2048),
            Parameter("hidden", 650, 8, 4096),
            Parameter("layers", 2, 1, 8),
            Parameter("vocabulary", 10_000, 2, 1_000_000),
            BATCH,
        ),
        builder=lstm_text,
        seeds=("000",),
        note="AI-Benchmark does not publish the sizes of its test; ours is the published "
        "medium-sized language model: 2 x 650 units, 10,000 words, 35 steps, the last word out.",
    ),
)
