"""An edit of values, taken apart into what a tolerance rule can speak about: one key, one old, one new value.

Keys of attributes are themselves; a member of a map or an array goes by ``key.member`` and ``key.0`` too.
The attributes of an event go by their own key and by ``event.key``, and by the name of the event. Events and
links that come or go stand under the name and the target they have in the edit. A status has the keys
``status.code`` and ``status.message``, a kind ``span.kind``: only a rule that spells them out is about these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.tolerance import KIND_KEY
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.diff.drafts import Draft

__all__ = ["ABSENT", "Item", "equal", "is_rekeyed", "items_of", "leaves_of"]


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Where a side has no such key; ``null`` is a value."""


@dataclass(frozen=True, slots=True)
class Item:
    """One value that differs.

    Parameters
    ----------
    names : tuple of str
        What a ``key`` may call it.
    old, new : any
        Values; :data:`ABSENT` on the side without it.
    reach : {"value", "named", "spelt", "text"}
        Who may speak about it: every rule of values; those with a ``key``; those whose ``key`` is one of the
        names, letter by letter; none but ``template`` and ``redact`` without a ``key``.
    """

    names: tuple[str, ...]
    old: Any
    new: Any
    reach: str = "value"


def equal(one: Any, other: Any) -> bool:
    """Whether two values are one in the canonical form."""
    return canonical_json(one) == canonical_json(other)


def items_of(draft: Draft) -> list[Item]:
    """The values an edit changes; none for edits of structure, and for a key that was renamed."""
    made = _MAKERS.get(draft.op)
    return [] if made is None or is_rekeyed(draft) else list(made(draft))


def is_rekeyed(draft: Draft) -> bool:
    """Whether a key was renamed, wherever it stood."""
    return draft.patch.rekey is not None


def equal_or_absent(one: Any, other: Any) -> bool:
    """As :func:`equal`, where either may be absent."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return equal(one, other)


def _attribute(draft: Draft) -> Iterator[Item]:
    old = ABSENT if draft.op.endswith("+") else draft.old
    new = ABSENT if draft.op.endswith("-") else draft.new
    yield Item((draft.key or "",), old, new)


def _event(draft: Draft) -> Iterator[Item]:
    event = draft.key or ""
    for name in sorted(draft.old.keys() | draft.new.keys()):
        old, new = draft.old.get(name, ABSENT), draft.new.get(name, ABSENT)
        if not equal_or_absent(old, new):
            yield Item((name, f"{event}.{name}", event), old, new)


def _whole(draft: Draft) -> Iterator[Item]:
    is_new = draft.op.endswith("+")
    old, new = (ABSENT, draft.new) if is_new else (draft.old, ABSENT)
    yield Item((draft.key or "",), old, new, "named")


def _status(draft: Draft) -> Iterator[Item]:
    for part in ("code", "message"):
        if draft.old[part] != draft.new[part]:
            yield Item((f"status.{part}",), draft.old[part], draft.new[part], "spelt")


def _kind(draft: Draft) -> Iterator[Item]:
    yield Item((KIND_KEY,), draft.old, draft.new, "spelt")


def _text(draft: Draft) -> Iterator[Item]:
    yield Item((), draft.old, draft.new, "text")


_MAKERS: Final[dict[str, Callable[[Draft], Iterator[Item]]]] = {
    **dict.fromkeys(("attr~", "attr+", "attr-", "resource~", "resource+", "resource-"), _attribute),
    **dict.fromkeys(("event+", "event-", "link+", "link-"), _whole),
    **dict.fromkeys(("rename", "scope", "service"), _text),
    "event~": _event,
    "status": _status,
    "kind": _kind,
}


def leaves_of(item: Item) -> list[Item]:
    """The members in which two maps or two arrays differ; of anything else the item itself."""
    found: list[Item] = []
    todo = [(item.names[0] if item.names else "", item.old, item.new)]
    while todo:
        path, old, new = todo.pop()
        inner = list(_members(old, new))
        if not inner:
            # A member goes by the names of the whole too: a rule about the whole is about its members.
            names = item.names if path in item.names else (*item.names, path)
            found.append(Item(names, old, new, item.reach))
        todo.extend(
            (f"{path}.{name}", before, after)
            for name, before, after in inner
            if not equal_or_absent(before, after)
        )
    return found


def _members(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys(), reverse=True):
            yield name, old.get(name, ABSENT), new.get(name, ABSENT)
    elif isinstance(old, list) and isinstance(new, list):
        for place in reversed(range(max(len(old), len(new)))):
            before, after = (side[place] if place < len(side) else ABSENT for side in (old, new))
            yield str(place), before, after
