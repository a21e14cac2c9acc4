"""Repairs of template findings: the word a marker holds, and the word that was meant.

The template layer says both in its message, each in backticks (``unknown filter `uper`; did you mean
`upper`?``); what is repaired is the text between the ends of the marker the finding points at, and only where
the word stands there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Fix, TextEdit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.errors import Diagnostic

__all__ = ["is_unclosed", "with_fixes"]

_MEANT: Final = re.compile(r"`([^`]+)`[^`]*; did you mean `([^`]+)`\?")
_UNCLOSED: Final = {"{{": re.compile(r"\{\{[^{}\"'\n]*?(?=[ ]*(?:\}|[\"'\n]|$))[ ]*\}?"),
                    "{%": re.compile(r"\{%[^{}%\"'\n]*(?:%|\})?")}  # fmt: skip
_CLOSERS: Final = {"{{": "}}", "{%": "%}"}


def with_fixes(findings: Iterable[Diagnostic], source: str, file: str) -> list[Diagnostic]:
    """`findings` of the template layer, those of `file` with a fix where there is one."""
    found = list(findings)
    if not any(finding.code < "CLN113" for finding in found):
        return found
    lines = source.replace("\r\n", "\n").split("\n")
    return [
        replace(finding, fix=_fix(finding, lines)) if finding.file == file and not finding.fix else finding
        for finding in found
    ]


def _fix(finding: Diagnostic, lines: list[str]) -> Fix | None:
    if finding.line is None or finding.column is None or finding.line > len(lines):
        return None
    here = lines[finding.line - 1]
    if finding.code in ("CLN110", "CLN111"):
        return _as_text(finding, here)
    meant = _MEANT.search(finding.message)
    if meant is not None and finding.code in ("CLN101", "CLN102", "CLN103", "CLN104", "CLN105", "CLN107"):
        return _other_word(finding, lines, meant[1], meant[2])
    return _closed(finding, here) if is_unclosed(finding) else None


def is_unclosed(finding: Diagnostic) -> bool:
    """Whether a marker reaches for the closer of another one, because its own is missing."""
    said = finding.message
    return finding.code == "CLN101" and ("to close" in said or "string opened by" in said)


def _as_text(finding: Diagnostic, here: str) -> Fix | None:
    """What is kept as text, written as text."""
    assert finding.line is not None and finding.column is not None  # noqa: PT018  # Looked at by the caller.
    if finding.end_line != finding.line or finding.end_column is None:
        return None
    written = here[finding.column - 1 : finding.end_column - 1]
    text = f"{{% raw %}}{written}{{% endraw %}}"
    return Fix("Write it as text", (_edit(finding.line, finding.column, finding.end_column, text),))


def _other_word(finding: Diagnostic, lines: list[str], wrong: str, right: str) -> Fix | None:
    assert finding.line is not None and finding.column is not None  # noqa: PT018  # Looked at by the caller.
    word = re.compile(rf"(?<![\w.:]){re.escape(wrong)}(?!\w)")
    last = finding.end_line or finding.line
    edits: list[TextEdit] = []
    for number in range(finding.line, last + 1):
        line = lines[number - 1]
        start = finding.column - 1 if number == finding.line else 0
        end = finding.end_column - 1 if number == last and finding.end_column else len(line)
        edits += [
            _edit(number, match.start() + 1, match.end() + 1, right)
            for match in word.finditer(line, start, end)
        ]
    return Fix(f"Write `{right}`", tuple(edits)) if edits else None


def _closed(finding: Diagnostic, here: str) -> Fix | None:
    """A marker without its closer, closed where its expression ends."""
    assert finding.line is not None and finding.column is not None  # noqa: PT018  # Looked at by the caller.
    start = finding.column - 1
    opener = here[start : start + 2]
    match = _UNCLOSED[opener].match(here, start) if opener in _UNCLOSED else None
    if match is None:
        return None
    inner = match[0].rstrip("%} ")
    text = f"{inner} {_CLOSERS[opener]}"
    return Fix("Close the marker", (_edit(finding.line, finding.column, match.end() + 1, text),))


def _edit(line: int, column: int, end_column: int, text: str) -> TextEdit:
    return TextEdit(line, column, line, end_column, text)
