"""What logcat, Android Studio, syslog, shells and mail put before the lines of a tool."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)")
"""Colours and titles of terminals (ECMA-48)."""

_QUOTE = re.compile(r"^(?:>\s{0,4}){1,9}")

_STAMP = r"(?:\d{4}-)?\d\d-\d\d\s{1,9}\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:\s{1,4}[+-]\d{4})?\s{1,9}"
_TAG = r"[\w./$:-]{1,99}?"
_PID = r"\(\s{0,9}\d{1,9}(?::\s{0,9}\d{1,9})?\)"
_DATE = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S{0,30}"
_LEVEL = "[VDIWEF]"
_STARTS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        # logcat threadtime, with year, zone or uid: 05-30 15:16:44.857  3380  3391 I tflite  :
        rf"^{_STAMP}(?:[\w.]{{1,20}}\s{{1,9}})?(?:\d{{1,9}}\s{{1,9}}){{2}}{_LEVEL}\s"
        rf"{_TAG}\s{{0,40}}: ?",
        # logcat time: 05-30 15:16:44.857 I/tflite  ( 3380):
        rf"^{_STAMP}{_LEVEL}/{_TAG}\s{{0,40}}{_PID}\s?: ?",
        # Android Studio until 2022: 2021-05-30 15:16:44.857 3380-3391/org.app I/tflite:
        rf"^{_STAMP}\d{{1,9}}-\d{{1,9}}/\S{{1,200}}\s{{1,9}}{_LEVEL}/{_TAG}: ?",
        # and since: 2023-05-30 15:16:44.857  3380-3391  tflite    org.app    I  text
        rf"^{_STAMP}\d{{1,9}}-\d{{1,9}}\s{{1,9}}{_TAG}\s{{1,99}}\S{{1,200}}\s{{1,40}}{_LEVEL}\s{{1,4}}",
        # logcat brief and tag: I/tflite  ( 3380): and I/tflite:; process and thread: I( 3380)
        rf"^{_LEVEL}/{_TAG}\s{{0,40}}(?:{_PID})?\s?: ?",
        rf"^{_LEVEL}{_PID} ",
        # glog: I0530 15:16:44.857 3380 file.cc:94]
        r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9}\s{1,9}\d{1,9} [\w./-]{1,99}:\d{1,6}\] ?",
        # TensorFlow: 2021-05-30 15:16:44.857: I file.cc:94]
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}: [IWEF] [\w./-]{1,200}:\d{1,6}\] ?",
        # syslog and journalctl: May 30 15:16:44 host tool[3380]: and with an ISO stamp
        rf"^(?:{_DATE}|{_ISO}) [\w.-]{{1,99}} [\w./-]{{1,99}}\[\d{{1,9}}\]: ",
        # CI services and ts, a stamp alone: 2021-05-30T15:16:44.8571234Z
        rf"^(?:{_DATE}|{_ISO}) ",
    )
)


def without_prefix(line: str) -> str:
    """A line as the tool printed it, without colours, quotes, indentation and prefix."""
    bare = line.lstrip("\ufeff")
    if "\x1b" in bare:
        bare = _ESCAPE.sub("", bare)
    bare = _QUOTE.sub("", bare.lstrip()).lstrip()
    if not bare[:1].isdecimal() and bare[:1] not in _STARTS:
        return bare
    for pattern in _PREFIXES:
        match = pattern.match(bare)
        if match:
            return bare[match.end() :].lstrip()
    return bare
