"""``BaselineBlame``: which decision made which line of a baseline file (``clnrm baseline blame``)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.report.lines import Line, columns, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.tables import Table
from clnrm_nb.report.text import clipped, number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask

__all__ = ["BaselineBlame"]

_NOBODY: Final = "no decision"
_SHORT: Final = 12
"""Characters of a decision's name that tell it from others."""
_MOST_NAMED: Final = 4
_FEWEST: Final = 24
"""Cells that a place is never cut below."""


class BaselineBlame(Table):
    """Lines of a baseline file, and parts of spans that came later than their line.

    Parameters
    ----------
    baseline_id : str
    file : str
        The file from the project root.
    records : sequence of mappings
        One a row, with the keys of :attr:`HEADER`; ``line`` ascends.
    decisions : sequence of mappings
        Documents of the decisions that rows name, oldest first, each with its ``hash``.
    notes, findings, mask
        As of :class:`~clnrm_nb.report.tables.Table`.
    """

    HEADER: ClassVar = (
        "line", "kind", "path", "part", "decision", "version", "action", "at", "by", "reason", "certain",
        "edits", "causes",
    )  # fmt: skip

    def __init__(
        self,
        baseline_id: str,
        file: str = "",
        records: Sequence[Mapping[str, Any]] = (),
        *,
        decisions: Sequence[Mapping[str, Any]] = (),
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        mask: Mask | None = None,
    ) -> None:
        rows = [[record.get(name) for name in self.HEADER] for record in records]
        known = [dict(zip(self.HEADER, row, strict=True)) for row in rows]
        super().__init__(
            baseline_id,
            self.HEADER,
            rows,
            command="baseline blame",
            notes=notes,
            findings=findings,
            data={"id": baseline_id, "file": file, "lines": known, "decisions": list(decisions)},
            mask=mask,
        )

    @property
    def frame(self) -> DataFrame:
        """One row a line, or a part of a span that came later than its line."""
        from clnrm_nb.report.frames import frame_of

        return frame_of(_DTYPES, self.raw["data"]["lines"])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base; neighbours that the same decisions made are one row."""
        from clnrm_nb.report.resulttext import finding_lines

        del verbose
        header, found = self._in_text()
        rows = [[_plain(cell, signs) if isinstance(cell, str) else cell for cell in row] for row in found]
        others = sum(max((len(str(row[i])) for row in rows), default=0) + 2 for i in range(len(header) - 2))
        room = max(width - others, _FEWEST)
        cells = [[*map(str, row[:-2]), *_shared(row[-2], row[-1], room, signs.ellipsis)] for row in rows]
        return [
            line((one_line(f"{self.title}  {self.raw['data']['file']}"), "bold")),
            *columns(header, cells, right=(0, 1)),
            *map(_told, self.raw["data"]["decisions"]),
            *(line(one_line(note)) for note in self.notes),
            *(
                part
                for found in self.raw["diagnostics"]
                for part in finding_lines(found, signs=signs, width=width)
            ),
        ]

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        header = ("lines", "version", "on", "by", "what", "why")
        return header, [
            row for group in _alike(self.raw["data"]["lines"]) for row in _rows(group, self._sentence)
        ]

    _in_html = _in_text

    def _sentence(self, row: Mapping[str, Any]) -> str:
        """Why a decision made something: its reason, and the edit where it took some only."""
        causes = [f"{cause['message']} ({cause['cause_id']})" for cause in row["causes"] or ()]
        return "; ".join(filter(None, [row["reason"], *causes[:2]]))


def _alike(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[list[Mapping[str, Any]]]]:
    """Rows of neighbouring lines together, where the same decisions made the same parts of them."""
    by_line = [list(group) for _, group in groupby(rows, key=lambda row: row["line"])]

    def signature(group: list[Mapping[str, Any]]) -> Any:
        first = group[0]
        parent = first["path"].rpartition("/")[0] if first["kind"] == "span" else first["line"]
        causes = tuple(tuple(cause["cause_id"] for cause in row["causes"] or ()) for row in group)
        return (
            first["kind"],
            parent,
            causes,
            tuple((row["part"], row["decision"], row["certain"]) for row in group),
        )

    for _, groups in groupby(by_line, key=signature):
        yield list(groups)


def _rows(groups: list[list[Mapping[str, Any]]], sentence: Any) -> Iterator[list[Any]]:
    first, last = groups[0][0], groups[-1][0]
    is_many = len(groups) > 1
    span = f"{first['line']}–{last['line']}" if is_many else str(first["line"])
    for number, row in enumerate(groups[0]):
        if number == 0:
            name = last["path"].rpartition("/")[2]
            what = f"{row['path']} … {name} ({number_text(len(groups), 'span')})" if is_many else row["path"]
            what = what if row["kind"] == "span" else f"{row['kind']} {row['path']}".strip()
        else:
            what = f"  {row['part']}"
        version = "" if row["version"] is None else f"{row['version']}{'' if row['certain'] else '?'}"
        who = (row["by"] or "").partition(" <")[0] or (_NOBODY if row["decision"] is None else "")
        yield [span if number == 0 else "", version, (row["at"] or "")[:10], who, what, sentence(row)]


def _plain(text: str, signs: Signs) -> str:
    """Signs of ours as the terminal has them; whatever stands in names and reasons stays."""
    if signs is UNICODE:
        return text
    return text.replace(" … ", f" {signs.ellipsis} ").replace("–", "-").replace("→", "->")


def _told(decision: Mapping[str, Any]) -> Line:
    """A decision in full, for what a column had no room for."""
    some = [*(decision["causes"] or decision["edits"])]
    part = f" of {', '.join(some[:_MOST_NAMED])}{' …' if len(some) > _MOST_NAMED else ''}" if some else ""
    why = f": {decision['reason']}" if decision["reason"] else ""
    words = f"{decision['action']}{part} by {decision['by']} at {decision['at']}{why}"
    return line((one_line(f"version {decision['version']} ({decision['hash'][:_SHORT]}): {words}"), "dim"))


def _shared(what: str, why: str, room: int, ellipsis: str) -> tuple[str, str]:
    """Two texts in one room: the place keeps its end, where the span is; the reason its beginning."""
    what, why = one_line(what), one_line(why)
    least = min(len(why), room // 2)
    most = max(room - least, _FEWEST)
    if len(what) > most:
        what = ellipsis + what[len(what) - most + len(ellipsis) :]
    return what, clipped(why, max(room - len(what), _FEWEST // 2), ellipsis)


_DTYPES: Final[Mapping[str, Any]] = {
    "line": "Int64",
    "kind": ("header", "resource", "scope", "span"),
    "path": "string",
    "part": "string",
    "decision": "string",
    "version": "Int64",
    "action": "string",
    "at": "dt",
    "by": "string",
    "reason": "string",
    "certain": "boolean",
    "edits": "object",
    "causes": "object",
}
