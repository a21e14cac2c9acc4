"""A diff as Markdown, for a pull request: what changed first, twenty items a comparison, then counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.report.difftext import compared_lines
from clnrm_nb.report.diffwords import OP_WORDS, change_texts, counts_text, edit_status, place_text
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.markdown import escaped
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["compared_markdown", "diff_markdown"]

_MOST_EDITS: Final = 20
_MOST_SAME: Final = 20
_LONGEST_VALUE: Final = 300
_TREE_LINES: Final = 200


def diff_markdown(result: TraceDiff) -> str:
    """The whole document."""
    lines = [f"## {'ok' if result.ok else 'failed'}: {escaped(result.headline)}", ""]
    differing = [compared for compared in result.comparisons if compared.status != "same"]
    same = [compared for compared in result.comparisons if compared.status == "same"]
    if result.comparisons:
        lines += ["| status | scenario | edits |", "|---|---|---|"]
        lines += [_row(compared) for compared in (*differing, *same[:_MOST_SAME])]
        lines.append("")
    if len(same) > _MOST_SAME:
        lines += [f"and {number_text(len(same) - _MOST_SAME)} more that are the same", ""]
    for compared in differing:
        lines += compared_markdown(compared, result.depth)
    if findings := result.general_findings:
        lines += ["### Findings", ""]
        lines += [f"- **{f['severity']}** {f['code']} {escaped(f['message'])}" for f in findings]
        lines.append("")
    return "\n".join(lines)


def compared_markdown(compared: Compared, depth: int, *, with_findings: bool = True) -> list[str]:
    """One comparison: findings, causes with their edits, the tree to unfold, what to do."""
    lines = [f"### {UNICODE.status.get(compared.status, '')} {escaped(compared.id)}", ""]
    if compared.diagnostics and with_findings:
        for f in compared.diagnostics:
            lines.append(f"- **{f.severity}** {f.code} {escaped(f.message)}")
            if f.hint:
                lines.append(f"  {escaped(f.hint)}")
        lines.append("")
    diff = compared.diff
    if diff is None or not diff.counted:
        return lines
    if compared.three_way is not None:
        from clnrm_nb.report.threeway import three_way_markdown

        lines += three_way_markdown(compared)
    lines += ["| change | key | old → new | where | why |", "|---|---|---|---|---|"]
    lines += [_edit_row(edit) for edit in diff.counted[:_MOST_EDITS]]
    lines.append("")
    left = len(diff.counted) - _MOST_EDITS
    if left > 0:
        lines += [f"and {number_text(left, 'more edit')}", ""]
    shared = [cause for cause in diff.causes if cause.counted and len(cause.edits) > 1]
    if shared:
        lines.append("Changes that stand in several places:")
        lines.append("")
        lines += [
            f"- {escaped(cause.message)} ({number_text(len(cause.edits), 'edit')}, {cause.cause_id})"
            for cause in shared[:_MOST_EDITS]
        ]
        lines.append("")
    lines += [
        "<details><summary>Both sides as a tree</summary>",
        "",
        *_tree(compared, depth),
        "",
        "</details>",
        "",
    ]
    if compared.code is not None:
        name = compared.id.replace("`", "")
        lines += [f"Compare and decide locally: `clnrm diff`, then `clnrm review '{name}'`.", ""]
    return lines


def _row(compared: Compared) -> str:
    sign = UNICODE.status.get(compared.status, "")
    return f"| {sign} **{compared.status}** | {escaped(compared.id)} | {escaped(counts_text(compared))} |"


def _edit_row(edit: Edit) -> str:
    old, new = (
        "*nothing*" if text is None else escaped(text[:_LONGEST_VALUE]) for text in change_texts(edit)
    )
    cells = (
        f"{UNICODE.status[edit_status(edit)]} {OP_WORDS.get(edit.op, edit.op)}",
        escaped(edit.key or ""),
        f"{old} → {new}",
        escaped(place_text(edit)),
        f"{escaped(edit.reason)} ({edit.edit_id})",
    )
    return f"| {' | '.join(cells)} |"


def _tree(compared: Compared, depth: int) -> Iterator[str]:
    """Indented: such a block knows no closing fence that a name could hold."""
    lines = compared_lines(compared, signs=UNICODE, width=100, only_diffs=True, depth=depth)
    for text in to_plain(lines[:_TREE_LINES]).splitlines():
        yield f"    {text}"
    if len(lines) > _TREE_LINES:
        yield f"    … {number_text(len(lines) - _TREE_LINES)} more lines"
