"""Trees of spans for other tools: Graphviz, Mermaid and plain JSON.

The text tree for people is :meth:`clnrm_nb.report.results.Trace.tree`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.spans.model import KINDS, STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["MissingEdge", "edges_json", "rows_of_trees_with", "to_dot", "to_mermaid"]


@dataclass(frozen=True, slots=True)
class MissingEdge:
    """An edge a scenario file demands and the trace lacks."""

    parent: str
    child: str


def rows_of_trees_with(table: SpanTable, rows: Sequence[int]) -> list[int]:
    """All rows of the trees that hold one of `rows`, in table order."""
    parents = table.parent_rows()
    roots: list[int] = []
    for row in range(len(table)):
        seen = {row}
        top = row
        while (parent := parents[top]) is not None and parent not in seen:
            seen.add(parent)
            top = parent
        roots.append(top)
    wanted = {roots[row] for row in rows}
    return [row for row, root in enumerate(roots) if root in wanted]


def to_dot(table: SpanTable, missing: Sequence[MissingEdge] = ()) -> str:
    """Graphviz: a node a span, an edge from parent to child; missing edges dashed."""
    lines = ["digraph trace {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for row, name in enumerate(table.name):
        error = ", color=red" if STATUS_CODES[table.status_code[row]] == "error" else ""
        label = json.dumps(f"{name}\n{table.resource[row].service}", ensure_ascii=False)
        lines.append(f"  s{row} [label={label}{error}];")
    lines += [
        f"  s{parent} -> s{row};" for row, parent in enumerate(table.parent_rows()) if parent is not None
    ]
    for index, edge in enumerate(missing):
        parent, child = (json.dumps(text, ensure_ascii=False) for text in (edge.parent, edge.child))
        lines.append(f"  m{index}p [label={parent}, style=dashed]; m{index}c [label={child}, style=dashed];")
        lines.append(f'  m{index}p -> m{index}c [style=dashed, label="missing"];')
    return "\n".join([*lines, "}", ""])


def to_mermaid(table: SpanTable, missing: Sequence[MissingEdge] = ()) -> str:
    """Mermaid flowchart, as GitHub and JupyterLab draw it in Markdown."""
    lines = ["flowchart LR"]
    lines += [f'  s{row}["{_mermaid(name)}"]' for row, name in enumerate(table.name)]
    lines += [
        f"  s{parent} --> s{row}" for row, parent in enumerate(table.parent_rows()) if parent is not None
    ]
    for index, edge in enumerate(missing):
        lines.append(
            f'  m{index}p["{_mermaid(edge.parent)}"] -. missing .-> m{index}c["{_mermaid(edge.child)}"]'
        )
    return "\n".join([*lines, ""])


def _mermaid(text: str) -> str:
    """Mermaid knows HTML entities by number, written with ``#``."""
    return "".join(char if char.isalnum() or char in " ._/-:" else f"#{ord(char)};" for char in text)


def edges_json(table: SpanTable, missing: Sequence[MissingEdge] = ()) -> dict[str, object]:
    """Nodes and edges as plain data."""
    return {
        "nodes": [
            {
                "id": table.span_id[row],
                "trace_id": table.trace_id[row],
                "name": name,
                "service": table.resource[row].service,
                "kind": KINDS[table.kind[row]],
                "status": STATUS_CODES[table.status_code[row]],
                "own": table.own[row],
            }
            for row, name in enumerate(table.name)
        ],
        "edges": [
            {"parent": table.span_id[parent], "child": table.span_id[row]}
            for row, parent in enumerate(table.parent_rows())
            if parent is not None
        ],
        "missing": [{"parent": edge.parent, "child": edge.child} for edge in missing],
    }
