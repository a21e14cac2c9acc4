"""What one decision settles: edits grouped by the change they share, each group with one sentence.

Edits of one ``cause_id`` are one cause. Beyond that, an error that travels up to its callers is the cause of
the deepest span that changed, and a new value that turns up under several keys is one cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.model import Cause
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.diff.side import Side

__all__ = ["group", "sentence", "shown"]

_MIN_TEXT: Final = 8
"""A shorter value may turn up in two places by chance."""

_MAX_SHOWN: Final = 60
_BLOCK: Final = 4096

_CONTEXT: Final = 10
"""Equal characters shown before the place where two long values begin to differ."""


def group(edits: Sequence[Edit], current: Side) -> tuple[tuple[Edit, ...], tuple[Cause, ...]]:
    """Edits and causes in the order of display: what counts first, dearest causes first, then by position."""
    edits = _with_same_value(_with_travelling_errors(edits, current))
    groups: dict[tuple[bool, str], list[Edit]] = {}
    for edit in edits:
        groups.setdefault((not edit.counted, edit.cause_id), []).append(edit)
    for members in groups.values():
        members.sort(key=_position)
    ordered = sorted(
        groups.items(), key=lambda item: (item[0][0], -_cost(item[1]), _position(item[1][0]), item[0][1])
    )
    causes = tuple(
        Cause(cause_id, _message(members), tuple(edit.edit_id for edit in members), _cost(members), not quiet)
        for (quiet, cause_id), members in ordered
    )
    return tuple(edit for _, members in ordered for edit in members), causes


def _cost(edits: Sequence[Edit]) -> int:
    return sum(edit.cost for edit in edits)


def _position(edit: Edit) -> tuple[str, str, str, str]:
    return (edit.path or edit.baseline_path or "", edit.op, edit.key or "", edit.edit_id)


def _with_travelling_errors(edits: Sequence[Edit], current: Side) -> list[Edit]:
    """Give the same status change on the callers of a span the cause of the deepest one."""
    changed = {
        edit.current_spans[0]: edit
        for edit in edits
        if edit.op == "status" and edit.current["code"] == "error" != edit.baseline["code"]
    }
    leader: dict[str, str] = {}
    for number in sorted(changed, reverse=True):
        cause = leader.get(changed[number].edit_id, changed[number].cause_id)
        leader.setdefault(changed[number].edit_id, cause)
        above = changed.get(current.parent[number])
        if above is not None:
            leader.setdefault(above.edit_id, cause)
    return [replace(edit, cause_id=leader.get(edit.edit_id, edit.cause_id)) for edit in edits]


def _with_same_value(edits: Sequence[Edit]) -> list[Edit]:
    """Give value changes from the same old to the same new value one cause, whatever their key."""
    leader: dict[tuple[str, str], str] = {}
    made = []
    for edit in edits:
        if edit.op in {"attr~", "resource~"} and edit.counted:
            new = canonical_json(edit.current)
            if len(new) >= _MIN_TEXT:
                cause = leader.setdefault((canonical_json(edit.baseline), new), edit.cause_id)
                edit = replace(edit, cause_id=cause)  # noqa: PLW2901  # The same edit, under its cause.
        made.append(edit)
    return made


def _message(edits: Sequence[Edit]) -> str:
    edit = edits[0]
    sentence = _SENTENCES[edit.op](edit)
    if not edit.counted:
        sentence += f" (not counted: {edit.rule})"
    if len(edits) > 1:
        return f"{sentence}, in {len(edits)} places"
    if edit.op in _SHARED and len(edit.current_spans) > 1:
        return f"{sentence}, on {len(edit.current_spans)} spans"
    return sentence


def shown(value: Any) -> str:
    """A value for people: canonical JSON, cut; a text without quotes where it is plain."""
    text = value if isinstance(value, str) and value.isprintable() and value else canonical_json(value)
    return _clipped(text)


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _arrow(old: Any, new: Any) -> str:
    """Old and new value, told apart even where they begin alike, or differ in their type only."""
    before, after = shown(old), shown(new)
    if before != after:
        return f"{before} → {after}"
    before, after = canonical_json(old), canonical_json(new)
    same = _first_difference(before, after)
    if same < _MAX_SHOWN // 2:
        return f"{_clipped(before)} → {_clipped(after)}"
    start = same - _CONTEXT
    return f"…{_clipped(before[start:])} → …{_clipped(after[start:])}"


def _first_difference(one: str, other: str) -> int:
    """Where two texts begin to differ; block by block, as values may have megabytes."""
    start, end = 0, min(len(one), len(other))
    while start < end and one[start : start + _BLOCK] == other[start : start + _BLOCK]:
        start += _BLOCK
    while start < end and one[start] == other[start]:
        start += 1
    return min(start, end)


def _changed(edit: Edit) -> str:
    return f"{edit.key}: {_arrow(edit.baseline, edit.current)}"


def _rekeyed(edit: Edit) -> str:
    if isinstance(edit.baseline, dict) and edit.key and " → " in edit.key:
        return f"attribute {edit.key}"
    return _changed(edit)


def _status(edit: Edit) -> str:
    old, new = edit.baseline, edit.current
    if old["code"] == new["code"]:
        return f"status message: {_arrow(old['message'], new['message'])}"
    return f"status: {old['code']} → {new['code']}" + (
        f" ({shown(new['message'])})" if new["message"] else ""
    )


def _size(value: Any) -> str:
    return f"{shown(value['name'])} ({value['spans']} span{'s' if value['spans'] != 1 else ''})"


_SHARED: Final = frozenset({"service", "scope", "resource~", "resource+", "resource-", "attr~"})

_SENTENCES: Final[dict[str, Callable[[Edit], str]]] = {
    "attr~": _rekeyed,
    "attr+": lambda edit: f"{edit.key} is new: {shown(edit.current)}",
    "attr-": lambda edit: f"{edit.key} is gone: {shown(edit.baseline)}",
    "resource~": lambda edit: f"resource {_changed(edit)}",
    "resource+": lambda edit: f"resource {edit.key} is new: {shown(edit.current)}",
    "resource-": lambda edit: f"resource {edit.key} is gone: {shown(edit.baseline)}",
    "status": _status,
    "event+": lambda edit: f"event {edit.key} is new",
    "event-": lambda edit: f"event {edit.key} is gone",
    "event~": lambda edit: f"event {_changed(edit)}",
    "link+": lambda edit: f"link to {edit.key} is new",
    "link-": lambda edit: f"link to {edit.key} is gone",
    "kind": lambda edit: f"kind: {edit.baseline} → {edit.current}",
    "scope": lambda edit: f"scope: {_arrow(edit.baseline, edit.current)}",
    "service": lambda edit: f"service: {_arrow(edit.baseline, edit.current)}",
    "rename": lambda edit: f"renamed: {_arrow(edit.baseline, edit.current)}",
    "move": lambda edit: (
        f"moved: {(edit.path or '').rpartition('/')[2]} from {edit.baseline or 'the top'}"
        f" to {edit.current or 'the top'}"
    ),
    "wrap": lambda edit: f"{shown(edit.current['name'])} came between",
    "unwrap": lambda edit: f"{shown(edit.baseline['name'])} went from between",
    "count": lambda edit: f"{(edit.path or '').rpartition('/')[2]}: ×{edit.baseline} → ×{edit.current}",
    "insert": lambda edit: f"new: {_size(edit.current)}",
    "delete": lambda edit: f"missing: {_size(edit.baseline)}",
    "order": lambda edit: f"children start in another order: {shown(edit.path)}",
    "duration": lambda edit: f"duration: {edit.baseline} ms → {edit.current} ms",
}


def sentence(edit: Edit) -> str:
    """One edit in one sentence, without its place."""
    return _SENTENCES[edit.op](edit)
