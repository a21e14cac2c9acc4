"""Findings that only follow from what could not be read.

Where a broken statement was left out of a document, its table may seem to lack a key, and names it defined
seem unknown. Whether that is so is seen when the statement is mended; until then nothing is said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.scenario.findings import Finding
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.parse import Parsed
    from clnrm_nb.validation.partial import Partial

__all__ = ["without_consequences"]

_ABSENCES: Final = frozenset(
    ("CLN304", "CLN305", "CLN310", "CLN311", "CLN317", "CLN322", "CLN325", "CLN402", "CLN407")
)
_UNKNOWN_NAMES: Final = frozenset(("CLN401", "CLN414"))


def without_consequences(
    findings: Sequence[Finding], parsed: Parsed, partial: Partial | None = None
) -> list[Finding]:
    """Those of `findings` that are true whatever the unread parts of the text say."""
    if not parsed.holes and partial is None:
        return list(findings)
    if partial is not None and partial.hides_tables:
        # A name that is one slip away from a known one is a slip, whatever else may be defined out of sight.
        findings = [
            one
            for one in findings
            if one.code not in _ABSENCES and (one.code not in _UNKNOWN_NAMES or one.repair)
        ]
    text = parsed.rendered_text
    unread = [text[slice(*hole)] for hole in parsed.holes]
    unread += partial.unread if partial is not None else []
    holed = [_table_at(parsed, hole[0]) for hole in parsed.holes]
    lost = [part for part in unread if part.startswith("[")]
    return [finding for finding in findings if not _follows(finding, parsed, unread, holed, lost)]


def _follows(
    finding: Finding, parsed: Parsed, unread: list[str], holed: list[KeyPath], lost: list[str]
) -> bool:
    if finding.code in _UNKNOWN_NAMES:
        name = finding.path[-1] if isinstance(finding.path[-1], str) else ""
        value = _value_at(parsed.document, finding.path)
        words = {name, value} if isinstance(value, str) else {name}
        return any(_mentions(part, word) for part in unread for word in words if word)
    if finding.code not in _ABSENCES:
        return False
    # A table of which a header could not be read may be anywhere; one that names the table is enough.
    names = [part for part in finding.path if isinstance(part, str)]
    if not names:
        return bool(lost) or () in holed
    if any(_adds_to(part.split("\n", 1)[0], names[-1]) for part in lost):
        return True
    return any(table[: len(finding.path)] == finding.path for table in holed)


def _table_at(parsed: Parsed, offset: int) -> KeyPath:
    """The table whose body `offset` stands in."""
    table: KeyPath = ()
    for span, path in parsed.positions.statements:
        if span[0] > offset:
            break
        if path in parsed.positions.headers:
            table = path
    return table


def _value_at(document: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _adds_to(header: str, name: str) -> bool:
    """Whether a header that could not be read may have added keys to the table `name`."""
    if not _mentions(header, name):
        return False
    # Another element of an array of tables adds nothing to the one before.
    return not header.startswith("[[") or re.search(rf"{re.escape(name)}[ \t\"']*\.", header) is not None


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None
