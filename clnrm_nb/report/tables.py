"""``Table``: a result that is a list of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.lines import Line, columns, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, one_line, value_text
from clnrm_nb.report.view import HTML_BYTES, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask

__all__ = ["Table"]

_SHOWN_ROWS = 500
_LONGEST_WHOLE = 26
"""Characters of the longest cell that is never broken: a run id, a time, a word."""


class Table(View):
    """A table of anything: ``doctor``, ``gc``, ``cache list`` and their kind.

    Parameters
    ----------
    title : str
    header : sequence of str
        Names of the columns.
    rows : sequence of sequences
        Cells; text, numbers, booleans or ``None``. A cell of a column named ``status`` or ``outcome`` is
        shown as a state.
    notes : sequence of str
        Sentences below the table.
    data : mapping, optional
        ``data`` of the document; default ``{"rows": [{column: cell}]}``.
    dtypes : mapping, optional
        pandas dtype of each column (default: string).
    """

    def __init__(
        self,
        title: str,
        header: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        command: str = "",
        exit_code: int = 0,
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        summary: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        dtypes: Mapping[str, Any] | None = None,
        mask: Mask | None = None,
    ) -> None:
        self.title = title
        self.header = tuple(header)
        self.rows: list[list[Any]] = json_ready([list(row) for row in rows], mask)
        self.notes: list[str] = json_ready(list(notes), mask)
        self.label = title
        self._dtypes = dict(dtypes or {})
        records = [dict(zip(self.header, row, strict=True)) for row in self.rows]
        super().__init__(
            command or title,
            exit_code=exit_code,
            summary=summary or {"rows": len(records)},
            findings=[json_ready(finding.to_json(), mask) for finding in findings],
            data={"rows": records} if data is None else json_ready(dict(data), mask),
        )

    @property
    def frame(self) -> DataFrame:
        """The rows."""
        from clnrm_nb.report.frames import frame_of

        records = [
            {
                name: cell if name in self._dtypes or cell is None else value_text(cell)
                for name, cell in zip(self.header, row, strict=True)
            }
            for row in self.rows
        ]
        return frame_of({name: self._dtypes.get(name, "string") for name in self.header}, records)

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        from clnrm_nb.report.resulttext import finding_lines

        del verbose
        header, rows = self._in_text()
        cells = [[_cell(name, cell, signs) for name, cell in zip(header, row, strict=True)] for row in rows]
        numbers = [i for i, _ in enumerate(header) if rows and all(_is_number(row[i]) for row in rows)]
        lines = [line((one_line(self.title), "bold"))] if self.title else []
        lines += columns(header, cells, right=numbers) if rows else [line(("nothing", "dim"))]
        lines += [line(one_line(note)) for note in self.notes]
        for finding in self.raw["diagnostics"]:
            lines += finding_lines(finding, signs=signs, width=width)
        return lines

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Header and rows as a terminal has room for them."""
        return self.header, self.rows

    def _in_html(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Header and rows as a page has room for them."""
        return self.header, self.rows

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import Weighed, escape, table
        from clnrm_nb.report.html import status as state
        from clnrm_nb.report.resultview import findings_html

        def cell(name: str, value: Any) -> str:
            if name in _STATES and isinstance(value, str):
                return f"<td>{state(value)}</td>"
            text = "" if value is None else value_text(value)
            if _is_number(value):
                kind = " class=n"
            else:
                # A browser short of room breaks every word before it lets a table scroll.
                kind = f" class={'w' if len(text) <= _LONGEST_WHOLE else 'l'} dir=auto"
            return f"<td{kind}>{escape(text)}</td>"

        header, shown_rows = self._in_html()
        rows = Weighed(
            (f"<tr>{''.join(map(cell, header, row))}</tr>" for row in shown_rows[:_SHOWN_ROWS]),
            len(shown_rows),
            HTML_BYTES,
        )
        notes = "".join(f"<p dir=auto>{escape(note)}</p>" for note in self.notes)
        shown = table(self.title, header, rows) + rows.note("(all of them: .frame)") + notes
        return shown + findings_html(self.raw["diagnostics"], "", 20_000)


_STATES = frozenset({"status", "outcome", "state"})


def _cell(name: str, value: Any, signs: Signs) -> str:
    if value is None:
        return ""
    text = value_text(value)
    return f"{signs.status.get(text, ' ')} {text}" if name in _STATES else text


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
