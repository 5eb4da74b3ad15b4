"""Parser of protobuf's text format, without a schema: what Caffe's .prototxt files need.

Grammar: https://protobuf.dev/reference/protobuf/textformat-spec/ (no extensions, no Any). Field
names, nesting, sizes and counts are limited, so that a hostile file is refused quickly.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from perfmodel.errors import ModelFileError
from perfmodel.formats.limits import MAX_NAME, MAX_NESTING, MAX_TEXT_BYTES, MAX_TOKENS, shorten

Scalar: TypeAlias = "int | float | str | bool"

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f\v]+) | (?P<line>\n) | (?P<comment>\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
  | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?))
  | (?P<word>-?[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>[{}<>\[\]:;,])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_CLOSING = {"{": "}", "<": ">"}


@dataclass
class Message:
    """Fields by name, each a list of scalars and messages in file order; `line` where it opens."""

    line: int
    fields: dict[str, list[Scalar | Message]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def messages(self, name: str) -> list[Message]:
        """The messages of a repeated field."""
        return [v for v in self.fields.get(name, []) if isinstance(v, Message)]

    def message(self, name: str) -> Message:
        """The message of a field, the last one where repeated, empty where absent."""
        found = self.messages(name)
        return found[-1] if found else Message(self.line)

    def scalars(self, name: str) -> list[Scalar]:
        """The scalars of a repeated field."""
        return [v for v in self.fields.get(name, []) if not isinstance(v, Message)]

    def strings(self, name: str) -> list[str]:
        """The strings (or bare words) of a repeated field."""
        return [str(v) for v in self.scalars(name)]

    def text(self, name: str, default: str = "") -> str:
        """A string or bare word."""
        found = self.strings(name)
        return found[-1] if found else default


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def read_prototxt(path: str | os.PathLike[str]) -> Message:
    """Parse a file; raises `ModelFileError` with the line."""
    try:
        size = os.path.getsize(path)
        if size > MAX_TEXT_BYTES:
            raise ModelFileError(path, "file", f"{size} bytes; at most {MAX_TEXT_BYTES} are read")
        with open(path, "rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ModelFileError(path, "file", f"cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ModelFileError(path, f"line {line}", "is no text (UTF-8)") from None
    return parse_prototxt(text, path)


def parse_prototxt(text: str, path: object = "text") -> Message:
    """Parse text; `path` is for messages only."""
    root = Message(1)
    open_messages: list[tuple[Message, str]] = [(root, "")]
    tokens = _tokens(text, path)
    for token in tokens:
        message, closing = open_messages[-1]
        if token.kind == "end":
            if closing:
                raise _error(path, token, f"{closing!r} is missing for line {message.line}")
            return root
        if token.text in (";", ",") and token.kind == "mark":
            continue
        if token.kind == "mark" and token.text == closing:
            open_messages.pop()
            continue
        if token.kind != "word" or token.text.startswith("-"):
            raise _error(path, token, f"a field name expected, got {shorten(token.text, 40)!r}")
        inner = _field(path, token, tokens, message)
        if inner is not None:
            open_messages.append(inner)
            if len(open_messages) > MAX_NESTING:
                raise _error(path, token, f"messages nested more than {MAX_NESTING} deep")
    raise AssertionError("the token stream closes with its end")


def _field(
    path: object, name: _Token, tokens: Iterator[_Token], message: Message
) -> tuple[Message, str] | None:
    """Add one field; a message is returned open, with the mark that closes it."""
    values = message.fields.setdefault(name.text, [])
    message.lines.setdefault(name.text, name.line)
    token = next(tokens)
    if token.text == ":" and token.kind == "mark":
        token = next(tokens)
    elif token.text not in _CLOSING:
        raise _error(path, token, f"':' or '{{' expected after {shorten(name.text, 40)!r}")
    if token.kind == "mark" and token.text in _CLOSING:
        inner = Message(name.line)
        values.append(inner)
        return inner, _CLOSING[token.text]
    if token.kind == "mark" and token.text == "[":
        values.extend(_list(path, tokens))
        return None
    values.append(_scalar(path, token))
    return None


def _list(path: object, tokens: Iterator[_Token]) -> list[Scalar]:
    values: list[Scalar] = []
    for token in tokens:
        if token.text == "]" and token.kind == "mark":
            break
        if token.text == "," and token.kind == "mark":
            continue
        values.append(_scalar(path, token))
    return values


def _scalar(path: object, token: _Token) -> Scalar:
    if token.kind == "string":
        return _ESCAPE.sub(r"\1", token.text[1:-1])
    if token.kind == "number":
        text = token.text.rstrip("fF") if "x" not in token.text.lower() else token.text
        try:
            return (
                int(text, 0) if re.fullmatch(r"[-+]?(0[xX]\w+|[1-9]\d*|0)", text) else float(text)
            )
        except ValueError:
            raise _error(path, token, f"a broken number {shorten(token.text, 40)!r}") from None
    if token.kind == "word":
        words: dict[str, Scalar] = {"true": True, "false": False}
        words |= {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}
        return words.get(token.text, token.text)
    raise _error(path, token, f"a value expected, got {shorten(token.text, 40) or 'the end'!r}")


def _tokens(text: str, path: object) -> Iterator[_Token]:
    position, line, count = 0, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ModelFileError(
                path, f"line {line}", f"cannot be read: {shorten(text[position : position + 40])!r}"
            )
        position, kind = match.end(), str(match.lastgroup)
        if kind == "line":
            line += 1
        elif kind not in ("space", "comment"):
            count += 1
            if count > MAX_TOKENS:
                raise ModelFileError(
                    path, f"line {line}", f"more than {MAX_TOKENS} words and marks"
                )
            if match.end() - match.start() > MAX_NAME:
                raise ModelFileError(path, f"line {line}", f"a word of over {MAX_NAME} characters")
            yield _Token(kind, match.group(), line)
    while True:
        yield _Token("end", "", line)


def _error(path: object, token: _Token, reason: str) -> ModelFileError:
    return ModelFileError(path, f"line {token.line}", reason)
