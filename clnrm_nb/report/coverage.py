"""``CoverageReport``: how much of a manifest was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.lines import Line, columns, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, number_text, one_line
from clnrm_nb.report.view import HTML_BYTES, View, exit_code_of_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.coverage import Coverage, Covered
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.excerpt import Source

__all__ = ["CoverageReport"]

_HEADER = ("dimension", "reached", "share", "weight")


class CoverageReport(View):
    """Coverage of a manifest by traces.

    Parameters
    ----------
    coverage : Coverage
    findings : iterable of Diagnostic
        Of the manifest and of the traces.
    traces : sequence of str
        Where the spans came from.
    sources : mapping of str to Source, optional
        Files that findings name.
    """

    label = "coverage"

    def __init__(
        self,
        coverage: Coverage,
        findings: Iterable[Diagnostic] = (),
        *,
        traces: Sequence[str] = (),
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        documents = [json_ready(finding.to_json()) for finding in findings]
        self.sources = dict(sources or {})
        dimensions = [
            {
                "name": each.name,
                "weight": each.weight,
                "total": len(each.items),
                "reached": each.reached,
                "percent": _percent(each.share),
                "items": [_item(item) for item in each.items],
            }
            for each in coverage.dimensions
        ]
        super().__init__(
            "coverage",
            exit_code=exit_code_of_findings(documents, "coverage", deny=False),
            summary={
                "total": sum(each["total"] for each in dimensions),
                "reached": sum(each["reached"] for each in dimensions),
                "percent": _percent(coverage.share),
            },
            findings=documents,
            data=json_ready(
                {
                    "system": coverage.system,
                    "spans": coverage.spans,
                    "traces": list(traces),
                    "dimensions": dimensions,
                }
            ),
        )

    @property
    def headline(self) -> str:
        """One sentence on all of it."""
        summary, data = self.raw["summary"], self.raw["data"]
        return (
            f"{data['system']}: {summary['percent']:g} % covered, {summary['reached']} of "
            f"{number_text(summary['total'], 'behaviour')} reached by {number_text(data['spans'], 'span')}"
        )

    @property
    def code(self) -> str | None:
        """The code of the first error."""
        return next((f["code"] for f in self.raw["diagnostics"] if f["severity"] == "error"), None)

    @property
    def frame(self) -> DataFrame:
        """One row a behaviour: dimension, behaviour, covered, trace_id, span_id, missing steps."""
        from clnrm_nb.report.frames import frame_of

        dtypes = {
            "dimension": "string",
            "behaviour": "string",
            "covered": "boolean",
            "trace_id": "string",
            "span_id": "string",
            "missing": "object",
        }
        rows = [
            {
                "dimension": dimension["name"],
                "behaviour": item["name"],
                "covered": item["covered"],
                "trace_id": item["span"][0] if item["span"] else None,
                "span_id": item["span"][1] if item["span"] else None,
                "missing": item["missing"],
            }
            for dimension in self.raw["data"]["dimensions"]
            for item in dimension["items"]
        ]
        return frame_of(dtypes, rows)

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """The dimensions, then what was not reached; what was, with `verbose`."""
        from clnrm_nb.report.resulttext import finding_lines

        dimensions = self.raw["data"]["dimensions"]
        lines = [*columns(_HEADER, [_cells(each) for each in dimensions], right=(1, 2, 3)), line()]
        for dimension in dimensions:
            items = [item for item in dimension["items"] if verbose or not item["covered"]]
            if items:
                lines.append(line((dimension["name"], "bold")))
            for item in items:
                word = "passed" if item["covered"] else "missing"
                sign = signs.status["passed" if item["covered"] else "failed"]
                lines.append(line((f"  {sign} ", word), one_line(item["name"]), (_beside(item), "dim")))
        for finding in self.raw["diagnostics"]:
            source = self.sources.get(finding["file"] or "")
            lines += finding_lines(finding, signs=signs, width=width, source=source)
        return [*lines, line((self.headline, "bold"))]

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import Weighed, details, escape, status, table
        from clnrm_nb.report.resultview import findings_html

        dimensions = self.raw["data"]["dimensions"]
        rows = [
            f"<tr><th scope=row>{escape(name)}</th>"
            + "".join(f"<td class=n>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in map(_cells, dimensions)
        ]
        parts = [f"<h4>{escape(self.headline)}</h4>", table("", _HEADER, rows)]
        for dimension in dimensions:
            items = sorted(dimension["items"], key=lambda item: item["covered"])
            inner = Weighed(
                (
                    f"<tr><td>{status('passed' if item['covered'] else 'missing')}</td>"
                    f"<th scope=row dir=auto>{escape(item['name'])}</th>"
                    f"<td>{escape(_beside(item).strip())}</td></tr>"
                    for item in items
                ),
                len(items),
                HTML_BYTES // (2 * len(dimensions)),
            )
            title = f"{escape(dimension['name'])}: {dimension['reached']} of {dimension['total']}"
            content = table("", ("", "behaviour", ""), inner) + inner.note("(all of them: .frame)")
            parts.append(details(title, content, is_open=False))
        parts.append(findings_html(self.raw["diagnostics"], "", 20_000, self.sources))
        return "".join(parts)


def _item(covered: Covered) -> dict[str, Any]:
    return {
        "name": covered.item.name,
        "covered": covered.span is not None,
        "span": list(covered.span) if covered.span else None,
        "missing": list(covered.missing),
    }


def _percent(share: float | None) -> float | None:
    """Rounded down, so that 100 means all of it."""
    return None if share is None else int(share * 1_000 + 1e-9) / 10


def _cells(dimension: Mapping[str, Any]) -> list[str]:
    percent = dimension["percent"]
    return [
        dimension["name"],
        f"{dimension['reached']} of {dimension['total']}",
        "nothing listed" if percent is None else f"{percent:g} %",
        f"{dimension['weight']:g}",
    ]


def _beside(item: Mapping[str, Any]) -> str:
    if item["span"]:
        return f"  span {item['span'][1]}"
    return f"  not seen: {', '.join(map(one_line, item['missing']))}" if item["missing"] else ""
