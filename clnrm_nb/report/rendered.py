"""``Rendered``: what a template came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.lines import Line, columns, line, to_plain
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, one_line, value_text, visible
from clnrm_nb.report.view import HTML_BYTES, View, exit_code_of_findings

if TYPE_CHECKING:
    from pandas import DataFrame

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
    mask : callable, optional
    """

    label = "rendered template"

    def __init__(
        self,
        rendered: RenderedTemplate,
        *,
        show_vars: bool = False,
        show_source_map: bool = False,
        mask: Mask | None = None,
    ) -> None:
        self.rendered = rendered
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
        places = []
        for number, text in enumerate((self.text or "").splitlines(), 1):
            place = self.source_map.to_source(number, len(text) - len(text.lstrip()) + 1)
            places.append({"line": number, "file": place.file, "source_line": place.line})
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
        places = {place["line"]: place for place in self.raw["data"].get("source_map", ())}
        lines = [line(text) for text in shown.splitlines()]
        if places:
            lines = [
                line((f"{one_line(places[n]['file'])}:{places[n]['source_line']}\t", "dim"), *parts)
                for n, parts in enumerate(lines, 1)
                if n in places
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
        from clnrm_nb.report.html import Weighed, details, escape, escape_block, table
        from clnrm_nb.report.resultview import findings_html

        source = self.text or ""
        parts = [f"<pre dir=auto>{escape_block(source[:HTML_BYTES], HTML_BYTES)}</pre>"]
        if len(source) > HTML_BYTES:
            parts.append(f"<p>showing {HTML_BYTES:,} of {len(source):,} characters</p>")
        rows = Weighed(
            (
                f"<tr><th scope=row>{escape(v['name'])}</th>"
                f"<td dir=auto>{escape(value_text(v['value']))}</td><td>{escape(str(v['origin']))}</td></tr>"
                for v in self.variables
            ),
            len(self.variables),
            20_000,
        )
        if self.variables:
            content = table("", ("variable", "value", "origin"), rows) + rows.note()
            parts.append(details(f"{len(self.variables)} variables", content))
        parts.append(findings_html(self.raw["diagnostics"], "", 20_000))
        return "".join(parts)
