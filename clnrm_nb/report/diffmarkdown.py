"""A diff as Markdown, for a pull request: what changed first, twenty items, then counts.

The whole fits into a comment of a pull request (65,536 characters): trees go first, then whole comparisons,
and what is left out is counted.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.text import footer, rows
from clnrm_nb.report.diffwords import MOST_CAUSES, causes_left, counts_text, edit_status, place_text
from clnrm_nb.report.markdown import escaped
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.diff.model import Cause
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["MOST_CHARACTERS", "compared_markdown", "diff_markdown"]

MOST_CHARACTERS: Final = 65_536
"""What GitHub takes as one comment."""

_MOST_ITEMS: Final = 20
_TREE_LINES: Final = 200
_TREE_CELLS: Final = 100
_ROOM_FOR_COUNTS: Final = 200


def diff_markdown(result: TraceDiff) -> str:
    """The whole document."""
    head = [f"## {'ok' if result.ok else 'failed'}: {escaped(result.headline)}", ""]
    differing = [compared for compared in result.comparisons if compared.status != "same"]
    same = [compared for compared in result.comparisons if compared.status == "same"]
    if result.comparisons:
        head += ["| status | scenario | edits |", "|---|---|---|"]
        head += [_row(compared) for compared in (*differing[:_MOST_ITEMS], *same[:_MOST_ITEMS])]
        head.append("")
        if len(differing) > _MOST_ITEMS:
            head += [f"and {number_text(len(differing) - _MOST_ITEMS)} more that are not the same", ""]
        if len(same) > _MOST_ITEMS:
            head += [f"and {number_text(len(same) - _MOST_ITEMS)} more that are the same", ""]
    tail = _findings(result)
    left = MOST_CHARACTERS - len("\n".join([*head, *tail])) - _ROOM_FOR_COUNTS
    return "\n".join([*head, *_comparisons(differing, result.depth, left), *tail])[:MOST_CHARACTERS]


def _findings(result: TraceDiff) -> list[str]:
    findings = result.general_findings
    if not findings:
        return []
    lines = ["### Findings", ""]
    lines += [f"- **{f['severity']}** {f['code']} {escaped(f['message'])}" for f in findings[:_MOST_ITEMS]]
    left = len(findings) - _MOST_ITEMS
    return [*lines, *([f"- and {number_text(left, 'more finding')}"] if left > 0 else []), ""]


def _comparisons(differing: list[Compared], depth: int, room: int) -> Iterator[str]:
    """As many comparisons as the room bears; one without its tree where that would not fit."""
    for number, compared in enumerate(differing):
        shown = len(differing) - number
        for with_tree in (True, False):
            lines = compared_markdown(compared, depth, with_tree=with_tree)
            size = sum(len(text) + 1 for text in lines)
            if size <= room:
                room -= size
                yield from lines
                break
        else:
            yield f"and {number_text(shown, 'more comparison')}, left out here: `clnrm diff` shows them"
            yield ""
            return


def compared_markdown(
    compared: Compared, depth: int, *, with_findings: bool = True, with_tree: bool = True
) -> list[str]:
    """One comparison: findings, its causes, the tree to unfold, what to do."""
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
    totals = diff.totals.items()
    signs = (f"{UNICODE.status[word]} {number_text(number)} {word}" for word, number in totals if number)
    lines += [" · ".join(signs), "", "| change | where | why |", "|---|---|---|"]
    lines += [_cause_row(cause, compared) for cause in compared.causes[:MOST_CAUSES]]
    lines.append("")
    if left := compared.causes[MOST_CAUSES:]:
        lines += [causes_left(left), ""]
    facts = footer(diff)
    lines += [*(f"- {escaped(fact)}" for fact in facts), *([""] if facts else [])]
    if with_tree:
        lines += ["<details><summary>Both sides as a tree</summary>", "", *_tree(compared, depth), ""]
        lines += ["</details>", ""]
    return [*lines, _locally(compared), ""]


def _row(compared: Compared) -> str:
    sign = UNICODE.status.get(compared.status, "")
    return f"| {sign} **{compared.status}** | {escaped(compared.id)} | {escaped(counts_text(compared))} |"


def _cause_row(cause: Cause, compared: Compared) -> str:
    edits = [compared.by_id[name] for name in cause.edits if name in compared.by_id]
    words = {edit_status(edit) for edit in edits}
    sign = UNICODE.status[words.pop() if len(words) == 1 else "changed"]
    change = f"{sign} **{escaped(cause.message)}**"
    if not edits:
        return f"| {change} |  | {cause.cause_id} |"
    first, more = edits[0], len(edits) - 1
    where = escaped(place_text(first)) + (f" and {number_text(more, 'more place')}" if more else "")
    name = f"{number_text(len(edits), 'edit')}, {cause.cause_id}" if more else first.edit_id
    return f"| {change} | {where} | {escaped(first.reason)} ({name}) |"


def _locally(compared: Compared) -> str:
    """The command that shows the same on the reader's machine, and the one that decides."""
    if compared.code is None:
        files = (compared.baseline_name or "BASELINE", compared.id)
        return f"Compare locally: `clnrm diff {' '.join(map(_quoted, files))}`"
    file, name = _quoted(compared.test_id.partition("[")[0]), _quoted(compared.id)
    again = f"clnrm diff {file}{compared.run_with}"
    return f"Compare and decide locally: `{again}`, then `clnrm review {name}`."


def _quoted(name: str) -> str:
    return shlex.quote(one_line(name).replace("`", ""))


def _tree(compared: Compared, depth: int) -> Iterator[str]:
    """Indented: such a block knows no closing fence that a name could hold."""
    if compared.diff is None:
        return
    shown = list(rows(compared.diff, max_depth=depth, width=_TREE_CELLS))
    for guide, text, _ in shown[:_TREE_LINES]:
        yield f"    {guide}{one_line(text)}"
    if len(shown) > _TREE_LINES:
        yield f"    … {number_text(len(shown) - _TREE_LINES)} more lines"
