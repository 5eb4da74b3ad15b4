"""Damage that knows the structure of its input: trees, tables, lines, and watched runs of them."""

from __future__ import annotations

import copy
import json
import math
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError

SECONDS, MEGABYTES = 2.0, 500.0
"""Most processor time of one case, and most memory that a campaign may add."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 0.5, -0.0, 1e-308, 1e308, -1e308, 2**31, 2**63, -(2**63)),
    *("", " ", "x", "nan", "1e9", "-1", "é\u202e", "\x1b[31m", "../..", "a" * 5000, "=1+1", "@a=1"),
    *([], {}, [[]], {"": 0}, [None], [0] * 2000, {"a": {"b": {"c": [1]}}}),
    *(10**400, float("inf"), float("-inf"), float("nan")),
)
WORDS = (
    *("0", "-1", "1", "1e9", "1e308", "-1e308", "1e400", "nan", "inf", "9" * 400, "0x10", "1_0"),
    *("", '"', "'", ",", ";", "\t", "\x00", "\x1b[2J", "\u202e", "é", "{", "]", "#", "=", "%"),
    *("1,5", "1.5.2", "ms", "us", "fps", "-", "--", "a" * 3000, "../../etc", "=cmd()", "NaN"),
)


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": [found]}
    return found


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree of dicts and lists."""
    stack = [tree]
    while stack:
        node = stack.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(pairs):
            yield node, key
            if isinstance(value, dict | list):
                stack.append(value)


def mutated_tree(tree: Any, rng: random.Random) -> Any:
    """A copy with one to four changes: values, keys, kinds, order, pieces of itself."""
    made = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        all_places = list(places(made))
        if not all_places:
            return made
        node, key = rng.choice(all_places)
        kind = rng.randrange(7)
        if kind == 0:
            node[key] = copy.deepcopy(rng.choice(ODD))
        elif kind == 1 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
            factor = rng.choice((-1, 0, 1e-9, 0.5, 10, 1e6, 1e300))
            node[key] = type(node[key])(min(max(node[key] * factor, -1e308), 1e308))
        elif kind == 2:
            del node[key]
        elif kind == 3 and isinstance(node, dict):
            node[rng.choice((f"{key}x", "", str(rng.choice(WORDS))))] = node.pop(key)
        elif kind == 4:
            other, there = rng.choice(all_places)
            if _reaches(other, there):
                node[key] = copy.deepcopy(other[there])
        elif kind == 5 and isinstance(node, list):
            rng.shuffle(node)
        elif kind == 6:
            node[key] = deep(rng.choice((3, 40, 90)))
        if isinstance(node, list) and len(node) < 50 and rng.random() < 0.1:
            node.append(copy.deepcopy(node[0]) if node else 0)
    return made


def _reaches(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def mutated_lines(text: str, rng: random.Random) -> str:
    """Words, numbers and separators replaced; lines lost, doubled, moved, joined, cut off."""
    lines = text.splitlines() or [""]
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0:
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice(WORDS)
            lines[at] = " ".join(words)
        elif kind == 1:
            cells = lines[at].split(",")
            cells[rng.randrange(len(cells))] = rng.choice(WORDS)
            lines[at] = ",".join(cells)
        elif kind == 2:
            digits = [i for i, c in enumerate(lines[at]) if c.isdigit()]
            if digits:
                i = rng.choice(digits)
                lines[at] = lines[at][:i] + rng.choice(WORDS) + lines[at][i + 1 :]
        elif kind == 3:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif kind == 4 and len(lines) > 1:
            del lines[at]
        elif kind == 5:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 6:
            i = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:i] + rng.choice(WORDS) + lines[at][i:]
        else:
            lines = lines[: at + 1]
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    return rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines)


def as_json(tree: Any) -> str:
    return json.dumps(tree)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def campaign(
    name: str,
    count: int,
    write: Callable[[random.Random], Path],
    read: Callable[[Path, random.Random], Any],
    *,
    seed: int = 1,
) -> Counter[str]:
    """Write and read `count` mutants; how they ended.

    Fails on anything but the product's own errors, on a case that takes too long, on memory, and
    on an answer with a figure that is not finite or is negative (`read` returns what to look at).
    """
    rng = random.Random(f"{name} {seed}")
    outcomes: Counter[str] = Counter()
    before = peak_mb()
    for number in range(count):
        path = write(rng)
        started = time.process_time()
        try:
            answer = read(path, rng)
        except PerfmodelError as error:
            outcomes["refused"] += 1
            message = str(error)
            assert message.strip(), f"{name} {number}: an error without words"
            assert len(message) < 3000, f"{name} {number}: {len(message)} characters"
        except Exception as error:
            kept = path.with_name(f"kept-{name}-{number}{path.suffix}")
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"{name} {number}: {kept}: {error!r}") from error
        else:
            outcomes["read"] += 1
            bad = list(unsound(answer))
            assert not bad, f"{name} {number}: {bad[:3]}"
        took = time.process_time() - started
        assert took < SECONDS, f"{name} {number}: {took:.1f} s of processor time for {path}"
    grown = peak_mb() - before
    assert grown < MEGABYTES, f"{name}: {grown:.0f} MB"
    return outcomes


def unsound(answer: Any, where: str = "") -> Iterator[str]:
    """Figures of an answer (plain data) that are not finite, or negative."""
    if isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from unsound(value, f"{where}.{key}")
    elif isinstance(answer, list | tuple):
        for i, value in enumerate(answer):
            yield from unsound(value, f"{where}[{i}]")
    elif isinstance(answer, float | int) and not (math.isfinite(answer) and answer >= 0):
        yield f"{where} = {answer!r}"
