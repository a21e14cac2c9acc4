"""What leads several edits back to one change, beyond being the same edit in many places (``diff.md`` 5).

Each rule looks at the edits that count and gives groups of them, the first of a group being the one that
explains the others. Nothing here is a guess about likelihood: values have to be equal, spans the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clnrm_nb.diff.sentences import is_rekeyed, shown
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.diff.side import Side

__all__ = ["Lead", "keys_exchanged", "migrated", "same_scope", "same_value", "travelling_errors"]

_MIN_TEXT: Final = 6
"""A shorter value may turn up in two places by chance."""

_MIN_NEW: Final = 8
"""From here on a new value alone says where it comes from, whatever was there before."""

_LONGEST_READ: Final = 20_000
"""Characters of a change that is looked at part by part; a whole document is no id."""

_NEW_ALONE: Final = 1
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_SUBTREES: Final = frozenset({"insert", "delete", "wrap", "unwrap", "count"})


class Lead(NamedTuple):
    """Edits with one explanation.

    Parameters
    ----------
    edits : tuple of str
        Ids; the first is the explanation, the others follow from it.
    message : str or None
        One sentence; ``None``: that of the first edit says it.
    """

    edits: tuple[str, ...]
    message: str | None = None


# ------------------------------------------------------------------------------------------------- errors


def travelling_errors(edits: Sequence[Edit], current: Side) -> Iterator[Lead]:
    """Spans that failed because something below them did, whatever each of them says about it."""
    failed = {
        edit.current_spans[0]: edit
        for edit in edits
        if edit.op == "status" and edit.current["code"] == "error" != edit.baseline["code"]
    }
    if not failed:
        return
    thrown: dict[int, list[str]] = {}
    for edit in edits:
        if edit.op == "event+" and edit.key == "exception" and edit.current_spans[0] in failed:
            thrown.setdefault(edit.current_spans[0], []).append(edit.edit_id)
    above = _nearest_above(failed, current)
    called = set(above.values())
    followers: dict[int, list[int]] = {}
    taken: set[int] = set()
    # Deepest first: numbers are those of a walk from the top down.
    for number in sorted(failed, reverse=True):
        if number in called:
            continue
        spot = above.get(number)
        chain = followers.setdefault(number, [])
        while spot is not None and spot not in taken:
            taken.add(spot)
            chain.append(spot)
            spot = above.get(spot)
    for number, chain in followers.items():
        names = [failed[number].edit_id, *thrown.get(number, ())]
        for spot in chain:
            names += [failed[spot].edit_id, *thrown.get(spot, ())]
        if len(names) > 1:
            yield Lead(tuple(names), _travels(failed[number], len(chain)))


def _nearest_above(failed: dict[int, Edit], current: Side) -> dict[int, int]:
    """For each failed span the next one above it; every span on the way is looked at once."""
    known: dict[int, int | None] = {}
    found: dict[int, int] = {}
    for number in sorted(failed):
        way: list[int] = []
        spot = current.parent[number]
        while spot != current.n and spot not in failed and spot not in known:
            way.append(spot)
            spot = current.parent[spot]
        nearest = None if spot == current.n else spot if spot in failed else known[spot]
        known.update(dict.fromkeys(way, nearest))
        if nearest is not None:
            found[number] = nearest
    return found


def _travels(edit: Edit, n_callers: int) -> str:
    message = edit.current["message"]
    told = f" ({shown(message)})" if message else ""
    name = (edit.path or "").rpartition("/")[2]
    text = f"error in {shown(name)}{told}"
    return f"{text} and its {n_callers} caller{'s' if n_callers != 1 else ''}" if n_callers else text


# ------------------------------------------------------------------------------------------------- values


def same_value(edits: Sequence[Edit]) -> Iterator[Lead]:
    """Value changes that come down to one: equal old and new values, or one new part of several texts."""
    groups: dict[tuple[str, ...], list[Edit]] = {}
    for edit in edits:
        for sign in _signs(edit):
            groups.setdefault(sign, []).append(edit)
    for sign, members in groups.items():
        if len(members) > 1:
            names = tuple(edit.edit_id for edit in members)
            yield Lead(names, _value_told(sign, members))


def _value_told(sign: tuple[str, ...], members: Sequence[Edit]) -> str | None:
    if len({(edit.op, edit.key, canonical_json([edit.baseline, edit.current])) for edit in members}) == 1:
        return None
    if len(sign) == _NEW_ALONE:
        return f"same new value {shown(sign[0])}"
    return f"same new value: {shown(sign[0])} → {shown(sign[1])}"


def _signs(edit: Edit) -> list[tuple[str, ...]]:
    """What a value change can be recognised by elsewhere."""
    values = _values(edit)
    if values is None:
        return []
    old, new = values
    if len(old) + len(new) > _LONGEST_READ:
        return []
    part_old, part_new = _changed_part(old, new)
    signs: list[tuple[str, ...]] = []
    if edit.op in {"attr~", "resource~"}:
        # The same change of the same key is one whatever the service.
        signs.append((edit.op, edit.key or "", canonical_json([edit.baseline, edit.current])))
    if len(part_new) >= _MIN_NEW:
        signs.append((part_new,))
    elif len(part_new) >= _MIN_TEXT:
        signs.append((part_old, part_new))
    return signs


def _values(edit: Edit) -> tuple[str, str] | None:
    if edit.op in {"attr~", "resource~", "rename"}:
        if is_rekeyed(edit):
            return None
        return _plain(edit.baseline), _plain(edit.current)
    if edit.op == "status" and edit.baseline["code"] == edit.current["code"]:
        return edit.baseline["message"], edit.current["message"]
    return None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _changed_part(old: str, new: str) -> tuple[str, str]:
    """The one part of two texts that differs (``/cart/8f3a`` and ``/cart/77b0``); else the whole texts."""
    before, after = _PART.findall(old), _PART.findall(new)
    if len(before) == len(after):
        differing = {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]}
        if len(differing) == 1:
            return next(iter(differing))
    return old, new


# --------------------------------------------------------------------------------------------------- keys


def keys_exchanged(edits: Sequence[Edit]) -> Iterator[Lead]:
    """A key that is gone and another one that is new, with the same value on the same spans."""
    gone: dict[tuple[int, str], Edit] = {}
    for edit in edits:
        if edit.op == "attr-":
            gone.setdefault((edit.current_spans[0], canonical_json(edit.baseline)), edit)
    groups: dict[tuple[str, str], list[str]] = {}
    if gone:
        for edit in edits:
            if edit.op == "attr+":
                lost = gone.pop((edit.current_spans[0], canonical_json(edit.current)), None)
                if lost is not None:
                    names = groups.setdefault((lost.key or "", edit.key or ""), [])
                    names += [lost.edit_id, edit.edit_id]
    for (old, new), names in groups.items():
        yield Lead(tuple(names), f"attribute {old} → {new}, value kept")


def migrated(edits: Sequence[Edit], step: str) -> Iterator[Lead]:
    """All keys renamed on all their spans, where both sides name the schemas they follow."""
    names = tuple(edit.edit_id for edit in edits if is_rekeyed(edit))
    if len(names) > 1:
        yield Lead(names, f"{len(names)} attribute keys renamed, as by schema {step}")


# ------------------------------------------------------------------------------------------------- scopes


def same_scope(edits: Sequence[Edit], baseline: Side, current: Side) -> Iterator[Lead]:
    """Spans that came or went with an instrumentation scope that the other side has not at all."""
    subtrees = [edit for edit in edits if edit.op in _SUBTREES]
    if len(subtrees) < 2:  # noqa: PLR2004  # one has its cause already
        return
    of_baseline, of_current = _scopes(baseline), _scopes(current)
    groups: dict[tuple[bool, str], list[str]] = {}
    for edit in subtrees:
        is_new = bool(edit.current_spans)
        scope = (
            current.parts(edit.current_spans[0]) if is_new else baseline.parts(edit.baseline_spans[0])
        ).scope
        if scope not in (of_baseline if is_new else of_current):
            groups.setdefault((is_new, scope), []).append(edit.edit_id)
    for (is_new, scope), names in groups.items():
        if len(names) > 1:
            yield Lead(tuple(names), f"scope {scope} is {'new' if is_new else 'gone'}")


def _scopes(side: Side) -> set[str]:
    return {side.interner.parts[own].scope for own in set(side.own[:-1])}
