"""Findings that only follow from what could not be read.

Where a broken statement was left out of a document, its table may seem to lack a key, and names it defined
seem unknown. Whether that is so is seen when the statement is mended; until then nothing is said.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.scenario.findings import Finding
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.parse import Parsed
    from clnrm_nb.scenario.positions import Span
    from clnrm_nb.validation.partial import Partial

__all__ = ["without_consequences"]

_ABSENCES: Final = frozenset(
    ("CLN304", "CLN305", "CLN310", "CLN311", "CLN317", "CLN322", "CLN325", "CLN402", "CLN407")
)
_UNKNOWN_NAMES: Final = frozenset(("CLN401", "CLN414"))
_WORD: Final = re.compile(r"[\w-]+")
_WORD_AND_DOT: Final = re.compile(r"([\w-]+)[ \t\"']*\.")


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
    lost = [part.split("\n", 1)[0].split("#", 1)[0] for part in unread if part.startswith("[")]
    out_of_sight = _Unread(
        words=frozenset(word for part in unread for word in _WORD.findall(part)),
        extended=frozenset(word for header in lost for word in _extended(header)),
        holed=frozenset(_tables_around(parsed, [hole for hole in parsed.holes if text[hole[0]] != "["])),
        followed=frozenset(_tables_around(parsed, [hole for hole in parsed.holes if text[hole[0]] == "["])),
        ended=frozenset(words[-1] for header in lost if (words := _WORD.findall(header))),
        pairs=frozenset(pair for header in lost for pair in pairwise(_WORD.findall(header))),
        has_lost_header=bool(lost),
    )
    return [finding for finding in findings if not _follows(finding, parsed, out_of_sight)]


@dataclass(frozen=True, slots=True)
class _Unread:
    """What is known of the unread parts; sets, because a file may have ten thousand of them.

    ``words`` stand anywhere in them; ``extended`` names tables that a lost header may have added keys to,
    ``ended`` the last word of each such header, ``pairs`` its neighbours; ``holed`` has every table with a
    hole in its body, and what encloses it, ``followed`` those with a lost header directly behind.
    """

    words: frozenset[str]
    extended: frozenset[str]
    ended: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    holed: frozenset[KeyPath]
    followed: frozenset[KeyPath]
    has_lost_header: bool


def _follows(finding: Finding, parsed: Parsed, unread: _Unread) -> bool:
    if finding.code in _UNKNOWN_NAMES:
        name = finding.path[-1] if isinstance(finding.path[-1], str) else ""
        value = _value_at(parsed.document, finding.path)
        words = {name, value} if isinstance(value, str) else {name}
        return any(_mentioned(word, unread.words) for word in words if word)
    if finding.code not in _ABSENCES:
        return False
    # A table of which a header could not be read may be anywhere; one that names the table is enough.
    names = [part for part in finding.path if isinstance(part, str)]
    if not names:
        return unread.has_lost_header or () in unread.holed | unread.followed
    if finding.path in unread.holed or (finding.lacks is None and finding.path in unread.followed):
        return True
    if finding.lacks is not None and names[-1] not in unread.ended:
        # A header that goes on behind the table gives it the key that stands there, and no other.
        return (names[-1], finding.lacks) in unread.pairs
    return _mentioned(names[-1], unread.extended)


def _tables_around(parsed: Parsed, holes: Iterable[Span]) -> Iterator[KeyPath]:
    """The tables whose bodies `holes` stand in or behind, and every table around them."""
    headers = [
        (span[0], path) for span, path in parsed.positions.statements if path in parsed.positions.headers
    ]
    starts = [start for start, _ in headers]
    for hole in holes:
        above = bisect_right(starts, hole[0]) - 1
        table = headers[above][1] if above >= 0 else ()
        # Only a hole ahead of all headers is one in the file's own table.
        yield from (table[:length] for length in range(1, len(table) + 1)) if table else ((),)


def _value_at(document: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _extended(header: str) -> list[str]:
    """The names that a header that could not be read may have added keys to."""
    # Another element of an array of tables adds nothing to the one before.
    return (_WORD_AND_DOT if header.startswith("[[") else _WORD).findall(header)


def _mentioned(name: str, words: frozenset[str]) -> bool:
    """Whether `name` may stand among `words`: one of several words does if all of them do."""
    parts = _WORD.findall(name)
    return bool(parts) and words.issuperset(parts)
