"""Comments that silence findings: ``# clnrm: ignore CLN301`` at a line's end, or alone on the line before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.errors import Diagnostic

__all__ = ["unsilenced"]

_MARK = "clnrm: ignore"
_COMMENT = re.compile(r"#\s*clnrm:\s*ignore\s+(CLN[0-9]{3}(?:\s*,\s*CLN[0-9]{3})*)\s*(?:#\}\s*)?$")
_CODE = re.compile(r"CLN[0-9]{3}")


def unsilenced(diagnostics: Iterable[Diagnostic], source: str, file: str) -> list[Diagnostic]:
    """Those of `diagnostics` that no comment of `source` silences; errors never are."""
    found = list(diagnostics)
    if not found or _MARK not in source:
        return found
    codes = _codes_by_line(source)
    return [
        finding
        for finding in found
        if finding.severity == "error"
        or finding.file != file
        or finding.line is None
        or finding.code not in codes.get(finding.line, ())
    ]


def _codes_by_line(source: str) -> dict[int, set[str]]:
    """Silenced codes by the line they are silenced on."""
    silenced: dict[int, set[str]] = {}
    waiting: set[str] = set()
    for number, line in enumerate(source.split("\n"), start=1):
        comment = _COMMENT.search(line) if _MARK in line else None
        codes = set(_CODE.findall(comment[1])) if comment else set()
        is_alone = comment is not None and line[: comment.start()].strip() in ("", "{")
        if is_alone:
            waiting |= codes
            continue
        silenced[number] = codes | waiting
        waiting = set()
    return silenced
