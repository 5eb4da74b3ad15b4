"""YAML of a measurement file: plain mappings and lists, nothing that runs or grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import bad_input

MAX_DEPTH = 50
MAX_YAML = 10**6
"""Characters; the longest perf.yaml that is published has 300,000."""


def load_yaml(source: SourceText) -> Mapping[str, Any]:
    """The content of the file; aliases, which can grow a file a millionfold, are refused.

    MeasurementError where it is no YAML, no mapping, or its last line has no end but a figure.
    """
    import yaml

    try:
        depth = 0
        for token in yaml.scan(source.text, Loader=yaml.SafeLoader):
            line, name = token.start_mark.line + 1, type(token).__name__
            depth += name.endswith("StartToken") - name.endswith("EndToken")
            if depth > MAX_DEPTH:  # the time of the scanner grows with the square of the depth
                raise bad_input(source.path, line, "YAML nested too deeply")
            if isinstance(token, yaml.AliasToken | yaml.TagToken):
                raise bad_input(source.path, line, "aliases and tags are in no such file")
        content = yaml.safe_load(source.text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        reason = f"not YAML: {str(getattr(error, 'problem', error))[:100]}"
        raise bad_input(source.path, line, reason, "the file may be cut off") from error
    except (RecursionError, ValueError) as error:
        raise bad_input(source.path, 1, "YAML with impossible values") from error
    if not isinstance(content, Mapping):
        raise bad_input(source.path, 1, "YAML of no mapping")
    last = source.text.rsplit("\n", 1)[-1]
    if last[-1:] in tuple("0123456789."):
        line = source.text.count("\n") + 1
        reason = "the last line is a figure without an end"
        raise bad_input(source.path, line, reason, "the file may be cut off")
    return content
