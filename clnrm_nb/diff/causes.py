"""What one decision settles: edits grouped by the change they share, each group with one sentence.

Edits of one ``cause_id`` are one cause. Beyond that edits are led together (``diff.md`` 5) by

- an error that travels up: the deepest span that failed is the cause, its callers' failures follow from it;
- one value that turns up in several places, also inside names and addresses;
- a key that lost its value to another key on the same spans;
- an instrumentation scope that only one side has.

Whoever leads gives the cause its id, which stays one of a member's, so that it is the same in every run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.leads import keys_exchanged, migrated, same_scope, same_value, travelling_errors
from clnrm_nb.diff.model import Cause
from clnrm_nb.diff.notes import schema_step
from clnrm_nb.diff.sentences import is_rekeyed, sentence, shown

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from clnrm_nb.diff.leads import Lead
    from clnrm_nb.diff.model import Diff, Edit
    from clnrm_nb.diff.side import Side

__all__ = ["failed_first", "group"]

_SHARED: Final = frozenset({"service", "scope", "resource~", "resource+", "resource-", "attr~"})
_SUBTREES: Final = frozenset({"insert", "delete", "wrap", "unwrap", "count"})


def group(
    edits: Sequence[Edit], current: Side, baseline: Side | None = None
) -> tuple[tuple[Edit, ...], tuple[Cause, ...]]:
    """Edits and causes in the order of display: what counts first, dearest causes first, then by position.

    Parameters
    ----------
    edits : sequence of Edit
    current, baseline : Side
        What the spans of the edits are read from; without a baseline scopes are not looked at.
    """
    step = schema_step(baseline, current) if baseline is not None else None
    leads = _leads(edits, current, baseline, step)
    edits, told = _led(edits, leads)
    groups: dict[tuple[bool, str], list[Edit]] = {}
    for edit in edits:
        groups.setdefault((not edit.counted, edit.cause_id), []).append(edit)
    for members in groups.values():
        members.sort(key=_position)
    ordered = sorted(
        groups.items(), key=lambda item: (item[0][0], -_cost(item[1]), _position(item[1][0]), item[0][1])
    )
    causes = tuple(
        Cause(
            cause_id,
            _message(members, told.get(cause_id), current, baseline, step),
            tuple(edit.edit_id for edit in members),
            _cost(members),
            not quiet,
        )
        for (quiet, cause_id), members in ordered
    )
    return tuple(edit for _, members in ordered for edit in members), causes


def failed_first(diff: Diff, edits: Container[str]) -> Diff:
    """A diff whose causes with one of these edits come first: those of spans an expectation failed on."""
    foremost = [
        cause for cause in diff.causes if cause.counted and any(name in edits for name in cause.edits)
    ]
    if not foremost:
        return diff
    causes = (*foremost, *(cause for cause in diff.causes if cause not in foremost))
    order = {cause.cause_id: place for place, cause in enumerate(causes)}
    ordered = sorted(diff.edits, key=lambda edit: (not edit.counted, order.get(edit.cause_id, len(order))))
    return replace(diff, causes=causes, edits=tuple(ordered))


def _leads(edits: Sequence[Edit], current: Side, baseline: Side | None, step: str | None) -> list[Lead]:
    counted = [edit for edit in edits if edit.counted]
    found = [*travelling_errors(counted, current), *same_value(counted), *keys_exchanged(counted)]
    if baseline is not None:
        found += same_scope(counted, baseline, current)
    if step is not None:
        found += migrated(counted, step)
    return found


def _led(edits: Sequence[Edit], leads: Sequence[Lead]) -> tuple[list[Edit], dict[str, str]]:
    """Edits under the causes they are led to, and what the leads say of these causes."""
    cause_of = {edit.edit_id: edit.cause_id for edit in edits}
    above: dict[str, str] = {}

    def top(cause: str) -> str:
        while cause in above:
            cause = above[cause]
        return cause

    said: list[tuple[str, str | None]] = []
    for lead in leads:
        leader = top(cause_of[lead.edits[0]])
        for name in lead.edits[1:]:
            follower = top(cause_of[name])
            if follower != leader:
                above[follower] = leader
        said.append((leader, lead.message))
    told: dict[str, str] = {}
    for cause, message in said:
        if message is not None:
            told.setdefault(top(cause), message)
    if not above:
        return list(edits), told
    return [
        edit
        if (cause := top(edit.cause_id)) == edit.cause_id or not edit.counted
        # The same edit, under its cause.
        else replace(edit, cause_id=cause)
        for edit in edits
    ], told


def _cost(edits: Sequence[Edit]) -> int:
    return sum(edit.cost for edit in edits)


def _position(edit: Edit) -> tuple[str, str, str, str]:
    return (edit.path or edit.baseline_path or "", edit.op, edit.key or "", edit.edit_id)


def _message(
    edits: Sequence[Edit], told: str | None, current: Side, baseline: Side | None, step: str | None
) -> str:
    edit = edits[0]
    if told is not None:
        return told + _places(edits)
    message = sentence(edit)
    if not edit.counted:
        message += f" (not counted: {edit.rule})"
    if len(edits) > 1:
        under = _under(edits, current, baseline)
        return f"{message}, {under}" if under else message + _places(edits)
    if edit.op in _SHARED and len(edit.current_spans) > 1:
        message = f"{message}, on {len(edit.current_spans)} spans"
        return f"{message}, as by schema {step}" if step and is_rekeyed(edit) else message
    return message


def _places(edits: Sequence[Edit]) -> str:
    """``, in 3 places``: edits of one span are in one place."""
    number = len({edit.current_spans or edit.baseline_spans or edit.edit_id for edit in edits})
    return f", in {number} places" if number > 1 else ""


def _under(edits: Sequence[Edit], current: Side, baseline: Side | None) -> str | None:
    """``under every cart`` where a subtree came or went below the spans of one name."""
    if baseline is None or any(edit.op not in _SUBTREES for edit in edits):
        return None
    is_new = {bool(edit.current_spans) for edit in edits}
    if len(is_new) > 1:
        return None
    side = current if is_new.pop() else baseline
    parents = {side.parent[(edit.current_spans or edit.baseline_spans)[0]] for edit in edits}
    names = {side.name(parent) for parent in parents if parent != side.n}
    if len(names) != 1 or side.n in parents:
        return None
    (name,) = names
    instances = Counter(side.names)[name]
    share = "every" if instances == len(parents) else f"{len(parents):,} of {instances:,}"
    return f"under {share} {shown(name)}"
