"""What logcat puts before the lines of a tool, stripped at one place."""

from __future__ import annotations

import re

_LOGCAT = re.compile(
    r"^(?:\d\d-\d\d\s{1,9}\d\d:\d\d:\d\d\.\d{1,9}\s{1,9}\d{1,9}\s{1,9}\d{1,9}\s{1,9})?"
    r"[VDIWEF][ /][\w.-]{1,99}\s{0,9}(?:\(\s{0,9}\d{1,9}\))?\s{0,9}: ?"
)


def without_prefix(line: str) -> str:
    """A line as the tool printed it."""
    return _LOGCAT.sub("", line, count=1)
