"""``Rendered``: what a template came to.

As text it is the rendered file and nothing else, for whoever reads it next. In a notebook source and rendered
text stand side by side, line for line by the source map, with what validation has to say about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.excerpt import Source
from clnrm_nb.report.lines import Line, columns, line, to_plain
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, one_line, value_text, visible
from clnrm_nb.report.view import HTML_BYTES, View, exit_code_of_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask
    from clnrm_nb.template import Rendered as RenderedTemplate

__all__ = ["Rendered"]


class Rendered(View):
    """A rendered template.

    Parameters
    ----------
    rendered : clnrm_nb.template.Rendered
    show_vars, show_source_map : bool
        Show variables with their origins, and where each line came from.
    beside : iterable of Diagnostic
        What validation says, for the view in a notebook; no part of the document and of the exit status.
    mask : callable, optional
    """

    label = "rendered template"

    def __init__(
        self,
        rendered: RenderedTemplate,
        *,
        show_vars: bool = False,
        show_source_map: bool = False,
        beside: Iterable[Diagnostic] = (),
        mask: Mask | None = None,
    ) -> None:
        self.rendered = rendered
        own = set(rendered.diagnostics)
        self._beside = [json_ready(one.to_json(), mask) for one in beside if one not in own]
        self._source = Source(json_ready(rendered.source, mask))
        self.source_map = rendered.source_map
        findings = [json_ready(finding.to_json(), mask) for finding in rendered.diagnostics]
        self.text: str | None = json_ready(rendered.text, mask)
        self.variables: list[dict[str, Any]] = [
            json_ready({"name": v.name, "value": v.value, "origin": v.origin}, mask)
            for v in rendered.variables
        ]
        data: dict[str, Any] = {"file": rendered.file, "text": self.text}
        if show_vars:
            data["variables"] = self.variables
        if show_source_map:
            data["source_map"] = self._map()
        super().__init__(
            "render",
            exit_code=exit_code_of_findings(findings, "render", deny=False),
            findings=findings,
            data=data,
        )

    def _map(self) -> list[dict[str, Any]]:
        """Where the first visible character of each rendered line came from.

        ``related``: the line of the macro or included file that wrote it.
        """
        places = []
        for number, text in enumerate(Source(self.text or "").lines_only, 1):
            column = len(text) - len(text.lstrip()) + 1
            place = self.source_map.to_source(number, column)
            related = [
                {"file": other.file, "line": other.line, "column": other.column}
                for other in self.source_map.related(number, column)
            ]
            places.append(
                {
                    "line": number,
                    "file": place.file,
                    "source_line": place.line,
                    "source_column": place.column,
                    "related": related,
                }
            )
        return places

    @property
    def frame(self) -> DataFrame:
        """One row a finding."""
        from clnrm_nb.report.frames import diagnostics_frame

        return diagnostics_frame(self.raw["diagnostics"])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """The text, then what else was asked for."""
        from clnrm_nb.report.resulttext import finding_lines

        del verbose
        shown = visible(self.text or "")
        lines = [line(text) for text in shown.splitlines()]
        if "source_map" in self.raw["data"]:
            lines = [
                line((f"{_place(place)}\t", "dim"), *parts)
                for place, parts in zip(self.raw["data"]["source_map"], lines, strict=False)
            ]
        if "variables" in self.raw["data"]:
            rows = [(v["name"], value_text(v["value"]), v["origin"]) for v in self.variables]
            lines += [line(), *columns(("variable", "value", "origin"), rows)]
        for finding in self.raw["diagnostics"]:
            lines += finding_lines(finding, signs=signs, width=width)
        return lines

    def __repr__(self) -> str:
        return to_plain(self.lines())

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import Weighed, details, escape, table
        from clnrm_nb.report.resultview import findings_html
        from clnrm_nb.report.sidebyside import side_by_side_html

        findings = [*self.raw["diagnostics"], *self._beside]
        file = self.rendered.file
        parts = []
        if self.text is not None:
            parts.append(
                side_by_side_html(
                    self._source, Source(self.text), self._map(), findings, file, budget_bytes=HTML_BYTES // 2
                )
            )
        rows = Weighed(
            (
                f"<tr><th scope=row>{escape(v['name'])}</th>"
                f"<td dir=auto>{escape(value_text(v['value']))}</td><td>{escape(str(v['origin']))}</td></tr>"
                for v in self.variables
            ),
            len(self.variables),
            15_000,
        )
        if self.variables:
            content = table("", ("variable", "value", "origin"), rows) + rows.note()
            parts.append(details(f"{len(self.variables)} variables", content))
        parts.append(findings_html(findings, "", 20_000, {file: self._source}))
        return "".join(parts)


def _place(place: Mapping[str, Any]) -> str:
    """``file:line:column``, and where a macro or include wrote it."""
    text = f"{one_line(place['file'])}:{place['source_line']}:{place['source_column']}"
    written = [f"{one_line(each['file'])}:{each['line']}:{each['column']}" for each in place["related"]]
    return f"{text} < {' < '.join(written)}" if written else text
