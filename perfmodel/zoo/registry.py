"""What the zoo says about a network: its name, parameters and builder; and spec strings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from perfmodel.errors import GraphError, UnknownModelError, bare_name, nearest_names
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.zoo.figures import Accuracy, Published, published_accuracy, published_figures

Value = int | float | str
BuildFunction = Callable[..., str | Sequence[str]]
"""Adds a network to a `GraphBuilder` (first argument) and returns its output tensor or tensors."""


@dataclass(frozen=True)
class Parameter:
    """A choice a network leaves open: either one of `choices`, or a number from `low` to `high`.

    The type of `default` is the type of the parameter; an empty `choices` and no bounds mean any
    text, which the network itself checks.
    """

    name: str
    default: Value
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()

    def parse(self, value: object, model: str) -> Value:
        """`value` (text or number) in this parameter's type; raises `GraphError` if not allowed."""
        parsed = self._convert(value)
        if parsed is None or not self._allowed(parsed):
            raise GraphError(
                f"{model}: {self.name}={value} is not allowed", f"{self.name} is {self.domain}"
            )
        return parsed

    @property
    def domain(self) -> str:
        """The allowed values, in words."""
        if self.choices:
            return "one of " + ", ".join(str(c) for c in self.choices)
        if self.low is None:
            return "text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def _convert(self, value: object) -> Value | None:
        if isinstance(self.default, str):
            return str(value)
        try:
            number = float(str(value))
        except ValueError:
            return None
        if isinstance(self.default, float):
            return number
        return int(number) if number.is_integer() else None

    def _allowed(self, value: Value) -> bool:
        if self.choices:
            return value in self.choices
        if self.low is None or self.high is None or isinstance(value, str):
            return True
        return self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One network of the zoo.

    `family` joins networks built from the same layer shapes (variants of width, resolution, depth
    and precision): leave them out together when testing on an unseen network. `input_shape` is
    without the batch. `seeds` are the documents that asked for the network. `note` says where a
    choice is ours.
    """

    name: str
    title: str
    family: str
    task: str
    input_shape: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    builder: BuildFunction = field(repr=False, compare=False)
    seeds: tuple[str, ...] = ()
    note: str = ""

    @property
    def published(self) -> tuple[Published, ...]:
        """MACs and parameters as sources print them; the default parameters first."""
        return published_figures(self.name)

    @property
    def accuracy(self) -> tuple[Accuracy, ...]:
        """Published accuracies of its variants."""
        return published_accuracy(self.name)

    @property
    def defaults(self) -> dict[str, Value]:
        """Parameter values if nothing is given."""
        return {p.name: p.default for p in self.parameters}

    def resolve(self, given: Mapping[str, object]) -> dict[str, Value]:
        """All parameter values, `given` checked; raises `GraphError` for unknown or bad ones."""
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                raise GraphError(
                    f"{self.name}: unknown parameter {name!r}",
                    "it takes " + ", ".join(f"{p.name} ({p.domain})" for p in self.parameters),
                )
        return {
            n: p.parse(given[n], self.name) if n in given else p.default for n, p in known.items()
        }

    def spec(self, values: Mapping[str, Value]) -> str:
        """The shortest spec for these parameter values: defaults are left out."""
        changed = [f"{p.name}={values[p.name]}" for p in self.parameters if _differs(p, values)]
        return self.name + ("@" + ",".join(changed) if changed else "")

    def build(self, **given: object) -> Graph:
        """The network with these parameters."""
        values = self.resolve(given)
        spec = self.spec(values)
        g = GraphBuilder(spec)
        try:
            made = self.builder(g, **values)
        except GraphError as error:
            raise GraphError(
                f"{spec} cannot be built: {error.message}",
                error.hint or "is the resolution too small for this network?",
            ) from error
        outputs = (made,) if isinstance(made, str) else tuple(made)
        return g.build(*outputs, source=f"zoo:{spec}")


def _differs(parameter: Parameter, values: Mapping[str, Value]) -> bool:
    return values[parameter.name] != parameter.default


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split `name@key=value,key=value` into the name and the given parameters as text."""
    name, at, rest = spec.strip().partition("@")
    given: dict[str, str] = {}
    for item in rest.split(",") if at else []:
        key, equals, value = item.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise GraphError(
                f"{spec}: {item!r} is not key=value",
                "write it as in mobilenet_v2@width=0.5,resolution=160",
            )
        if key.strip() in given:
            raise GraphError(f"{spec}: {key.strip()} is given twice", "give it once")
        given[key.strip()] = value.strip()
    return name.strip(), given


def family_called(word: str, names: Sequence[str]) -> list[str]:
    """The networks whose names hold `word` ("resnet"), those that begin with it first.

    Empty for words that tell no family: under three letters, or in more than `LARGEST_FAMILY`.
    """
    key = bare_name(word)
    held = [n for n in names if key in bare_name(n)] if len(key) >= SHORTEST_FAMILY_WORD else []
    held.sort(key=lambda n: not bare_name(n).startswith(key))
    return held if 1 < len(held) <= LARGEST_FAMILY else []


SHORTEST_FAMILY_WORD = 3
"""Letters of the shortest family in the field: vgg, vit, ssd, gpt."""

LARGEST_FAMILY = 16
"""More networks than the largest family of the zoo has (MobileNet and EfficientNet with 7 and 10):
a word in more names, such as "net", asks for no family."""


def unknown_model(
    name: str, names: Sequence[str], of_libraries: Collection[str] = ()
) -> UnknownModelError:
    """The error for a name that is not in the zoo: which of its family, or the nearest names.

    `of_libraries` are networks with the library before a colon: those that hold the name come
    first, as `whisper-tiny` is in transformers:whisper-tiny-encoder.
    """
    family = family_called(name, names)
    if family:
        return UnknownModelError(
            f"{name!r} is a family of networks", "name one of them: " + ", ".join(family)
        )
    close = [*_holding(name, of_libraries), *nearest_names(name, names)][:MOST_NAMED]
    hint = "did you mean " + " or ".join(close) + "?" if close else ""
    return UnknownModelError(f"no network named {name!r}", hint or "see `perfmodel models`")


MOST_NAMED = 4
"""Networks that an error names."""


def _holding(name: str, of_libraries: Collection[str]) -> list[str]:
    key = bare_name(name)
    if len(key) < SHORTEST_FAMILY_WORD:
        return []
    held = [n for n in of_libraries if key in bare_name(n.partition(":")[2])]
    return sorted(held, key=len)[: MOST_NAMED - 1]


BATCH = Parameter("batch", 1, 1, 4096)


def image_parameters(resolution: int, classes: int, *more: Parameter) -> tuple[Parameter, ...]:
    """The parameters of an image classifier: the given ones, then resolution, classes, batch."""
    return (
        *more,
        Parameter("resolution", resolution, 32, 4096),
        Parameter("classes", classes, 1, 100_000),
        BATCH,
    )


WIDTH = Parameter("width", 1.0, 0.1, 4.0)


__all__ = [
    "BATCH",
    "WIDTH",
    "Parameter",
    "ZooEntry",
    "image_parameters",
    "parse_spec",
    "unknown_model",
]
