"""``CacheStats``: what is stored of tests that passed, and why one was run or not (``clnrm cache …``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.tables import Table
from clnrm_nb.report.text import json_ready, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask

__all__ = ["CacheStats"]

_HASH: Final = 12
"""Characters of a hash that people are shown; documents and frames have all of it."""
_SHOWN_TESTS: Final = 50


class CacheStats(Table):
    """Stored results.

    Parameters
    ----------
    records : sequence of mappings
        ``test_id, hash, status, stored_status, reason, duration_ms, last_used, updated``, a row an entry.
    facts : mapping of str to str, optional
        What there is to say of all of them, by name; shown in the place of the rows.
    explained : sequence of mappings, optional
        Of each test that was asked about ``headline`` and ``sentences``; shown in the place of the rows.
    command : str
    exit_code : int
    notes : sequence of str
        What was done or what to do.
    findings : iterable of Diagnostic
    summary, data : mapping, optional
        Of the document; ``data`` beside ``entries``.
    mask : callable, optional
        Applied to every text.

    Examples
    --------
    >>> stats = CacheStats([{"test_id": "tests/a.clnrm.toml", "hash": "9f" * 32, "status": "cached"}])
    >>> stats.raw["data"]["entries"][0]["status"]
    'cached'
    """

    HEADER: ClassVar = (
        "test_id",
        "hash",
        "status",
        "stored_status",
        "reason",
        "duration_ms",
        "last_used",
        "updated",
    )

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]] = (),
        *,
        facts: Mapping[str, str] | None = None,
        explained: Sequence[Mapping[str, Any]] | None = None,
        command: str = "cache list",
        exit_code: int = 0,
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        summary: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        mask: Mask | None = None,
    ) -> None:
        rows = [[record.get(name) for name in self.HEADER] for record in records]
        entries = [dict(zip(self.HEADER, row, strict=True)) for row in rows]
        self._facts: dict[str, str] = json_ready(dict(facts or {}), mask)
        self._explained: list[dict[str, Any]] = json_ready([dict(one) for one in explained or ()], mask)
        super().__init__(
            command,
            self.HEADER,
            rows,
            command=command,
            exit_code=exit_code,
            notes=notes,
            findings=findings,
            summary=summary or {"entries": len(entries)},
            data={"entries": entries, **(data or {})},
            mask=mask,
        )

    @property
    def frame(self) -> DataFrame:
        """One row an entry, or a test that was asked about (``format.md`` 12)."""
        from clnrm_nb.report.frames import cache_frame

        return cache_frame(self.raw["data"]["entries"])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        from clnrm_nb.report.resulttext import finding_lines

        if not self._facts and not self._explained and (self.rows or not self.notes):
            return super().lines(signs=signs, width=width, verbose=verbose)
        room = max(map(len, self._facts), default=0) + 2
        lines = [line((name.ljust(room), "dim"), one_line(text)) for name, text in self._facts.items()]
        for one in self._explained:
            lines.append(line((one_line(one["headline"]), "bold")))
            lines += [line(f"  {one_line(sentence)}") for sentence in one["sentences"]]
        lines += [line(one_line(note)) for note in self.notes]
        for finding in self.raw["diagnostics"]:
            lines += finding_lines(finding, signs=signs, width=width)
        return lines

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Without columns that say nothing; hashes by their beginning, no fractions of a millisecond."""
        rows = [dict(zip(self.header, row, strict=True)) for row in self.rows]
        for row in rows:
            row["hash"] = row["hash"] and row["hash"][:_HASH]
            row["duration_ms"] = row["duration_ms"] and round(row["duration_ms"])
        header = [name for name in self.header if any(row[name] not in (None, "") for row in rows)]
        return header, [[row[name] for name in header] for row in rows]

    def _in_html(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        return self._in_text()

    def html(self) -> str:
        """See the base; what is told of all entries, or of a test, stands for the rows."""
        from clnrm_nb.report.html import escape, table
        from clnrm_nb.report.resultview import findings_html

        if not self._facts and not self._explained:
            return super().html()
        facts = [
            f"<tr><td class=w>{escape(name)}</td><td class=w dir=auto>{escape(text)}</td></tr>"
            for name, text in self._facts.items()
        ]
        shown = table(self.title, ("", ""), facts) if facts else ""
        shown += "".join(_explained_html(one) for one in self._explained[:_SHOWN_TESTS])
        if len(self._explained) > _SHOWN_TESTS:
            shown += f"<p>showing {_SHOWN_TESTS} of {len(self._explained):,} (all of them: .frame)</p>"
        return shown + findings_html(self.raw["diagnostics"], "", 20_000)


def _explained_html(one: Mapping[str, Any]) -> str:
    """A headline, and what was decided when, with its reasons below."""
    from clnrm_nb.report.html import escape

    lines = "".join(
        f"<ul><li dir=auto>{escape(text.strip())}</li></ul>"
        if text.startswith(" ")
        else f"<li dir=auto>{escape(text)}</li>"
        for text in one["sentences"]
    )
    return f"<p dir=auto><b>{escape(one['headline'])}</b></p><ul>{lines}</ul>"
