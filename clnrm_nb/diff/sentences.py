"""What an edit says, in words: a sentence, or key, old and new value for a table.

Values are cut to the room there is, around the place where they differ. The signs that sentences are drawn
with come in two sets, so that ASCII output never has to be made by replacing characters of somebody's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wcwidth import wcswidth, wcwidth

from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.diff.model import Edit

__all__ = [
    "PLAIN",
    "RICH",
    "Detail",
    "Marks",
    "cells",
    "clip",
    "detail",
    "sentence",
    "short_path",
    "shown",
    "value_pair",
]

_MAX_SHOWN: Final = 60
_CONTEXT: Final = 10
"""Equal characters shown before the place where two long values begin to differ."""

_BLOCK: Final = 4096

_MOST_PER_CELL: Final = 4
"""Characters a cell may be made of; values have up to a gigabyte and are not measured to the end."""

_WIDENS: Final = "\ufe0f"
_MOST_INNER: Final = 4
_SHORTEST: Final = 8


@dataclass(frozen=True, slots=True)
class Marks:
    """Characters that sentences are drawn with."""

    arrow: str
    times: str
    dots: str
    count: str


RICH: Final = Marks("→", "×", "…", "⟳ ")
PLAIN: Final = Marks("->", "x", "...", "")


class Detail(NamedTuple):
    """One edit of a span as a line of a table.

    Parameters
    ----------
    sign : str
        ``+``, ``-`` or ``~``.
    label : str
        What changed: an attribute key, ``status``, ``event retry``.
    text : str
        Old and new value, or the one there is.
    """

    sign: str
    label: str
    text: str


def cells(text: str) -> int:
    """Terminal cells of a printable text."""
    return len(text) if text.isascii() else max(wcswidth(text), 0)


def clip(text: str, room: int, dots: str = "…") -> str:
    """A printable text cut to a number of terminal cells."""
    if len(text) <= room // 2 or (len(text) <= _MOST_PER_CELL * room and cells(text) <= room):
        return text
    room, kept = max(room - len(dots), 0), 0
    for place, character in enumerate(text):
        # An emoji sign is a narrow character and a selector that widens it.
        kept += 1 if character == _WIDENS else max(wcwidth(character), 0)
        if kept > room:
            return text[:place] + dots
    return text


def short_path(path: str | None, room: int, marks: Marks = RICH) -> str:
    """A path with its middle left out where it is longer than `room` cells; its end says most."""
    if not path:
        return "the top"
    if len(path) <= 2 * room and cells(path) <= room:
        return path
    first, rest = path[: path.find("/") + 1], path
    lead, end = f"{first}{marks.dots}", ""
    while rest and first:
        rest, _, name = rest.rpartition("/")
        if cells(name) + 1 + cells(end) + cells(lead) > room:
            break
        end = f"/{name}{end}"
    return f"{lead}{end}" if end else clip(path.rpartition("/")[2], room, marks.dots)


def shown(value: Any, room: int = _MAX_SHOWN, marks: Marks = RICH) -> str:
    """A value for people: canonical JSON, cut; a text without quotes where it is plain."""
    return clip(_text(value), room, marks.dots)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and value else canonical_json(value)


# ----------------------------------------------------------------------------------------------- old → new


def _change(old: Any, new: Any, room: int, marks: Marks) -> str:
    """Old and new value, told apart even where they begin alike, or differ in their type only."""
    inner = list(_inner(old, new)) if _room_needed(old, new) > room else []
    if inner:
        told = [f"{path} {_one(before, after, room // len(inner), marks)}" for path, before, after in inner]
        more = f", {marks.dots}" if len(told) > _MOST_INNER else ""
        return ", ".join(told[:_MOST_INNER]) + more
    return _one(old, new, room, marks)


def _room_needed(old: Any, new: Any) -> int:
    return len(_text(old)) + len(_text(new)) if isinstance(old, dict | list) else 0


_Inner = tuple[str, Any, Any]
_NOTHING: Final = object()


def _inner(old: Any, new: Any) -> Iterator[_Inner]:
    """What differs inside two lists of one length or two mappings, by its place."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key, _NOTHING) != new.get(key, _NOTHING):
                yield f".{key}", old.get(key, _NOTHING), new.get(key, _NOTHING)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                yield f"[{place}]", before, after


def _one(old: Any, new: Any, room: int, marks: Marks) -> str:
    if old is _NOTHING:
        return f"is new: {shown(new, max(room, _SHORTEST), marks)}"
    if new is _NOTHING:
        return f"is gone: {shown(old, max(room, _SHORTEST), marks)}"
    before, after = _text(old), _text(new)
    if before == after:
        before, after = canonical_json(old), canonical_json(new)
    before, after = _cut(before, after, room - len(marks.arrow) - 2, marks.dots)
    return f"{before} {marks.arrow} {after}"


def value_pair(
    before: str | None, after: str | None, room: int, marks: Marks = RICH
) -> tuple[str | None, str | None]:
    """Two values that stand in columns of `room` cells each, cut around the place where they differ."""
    if before is None or after is None:
        return before, after
    if clip(before, room) == before and clip(after, room) == after:
        return before, after
    return _from_difference(before, after, marks.dots)


def _cut(before: str, after: str, room: int, dots: str) -> tuple[str, str]:
    """Two texts in so many cells together, cut where they are alike."""
    # Each character takes two cells at most, so that short texts need not be measured.
    length = len(before) + len(after)
    if 2 * length <= room or (length <= _MOST_PER_CELL * room and cells(before) + cells(after) <= room):
        return before, after
    one, other = _from_difference(before, after, dots)
    short = min(cells(one[:room]), cells(other[:room]))
    longest = max(room // 2, room - short, _SHORTEST)
    return clip(one, longest, dots), clip(other, longest, dots)


def _from_difference(before: str, after: str, dots: str) -> tuple[str, str]:
    """Both texts without what is alike at their beginning, where that is long."""
    start = _first_difference(before, after) - _CONTEXT
    if start <= len(dots):
        return before, after
    return f"{dots}{before[start:]}", f"{dots}{after[start:]}"


def _first_difference(one: str, other: str) -> int:
    """Where two texts begin to differ; block by block, as values may have megabytes."""
    start, end = 0, min(len(one), len(other))
    while start < end and one[start : start + _BLOCK] == other[start : start + _BLOCK]:
        start += _BLOCK
    while start < end and one[start] == other[start]:
        start += 1
    return min(start, end)


# ------------------------------------------------------------------------------------------------- details

_Told = Callable[["Edit", int, Marks], str]


def _changed(edit: Edit, room: int, marks: Marks) -> str:
    return _change(edit.baseline, edit.current, room, marks)


def _new(edit: Edit, room: int, marks: Marks) -> str:
    return shown(edit.current, room, marks)


def _old(edit: Edit, room: int, marks: Marks) -> str:
    return shown(edit.baseline, room, marks)


def _status(edit: Edit, room: int, marks: Marks) -> str:
    old, new = edit.baseline, edit.current
    if old["code"] == new["code"]:
        return _change(old["message"], new["message"], room, marks)
    text = f"{old['code']} {marks.arrow} {new['code']}"
    return text + (f" ({shown(new['message'], max(room - 20, 20), marks)})" if new["message"] else "")


def _item(value: Any, room: int, marks: Marks) -> str:
    """Attributes of an event or a link; nothing where it has none."""
    return shown(value, room, marks) if value else ""


def is_rekeyed(edit: Edit) -> bool:
    """Whether an edit is an attribute key renamed on all its spans."""
    return edit.op == "attr~" and isinstance(edit.baseline, dict) and " → " in (edit.key or "")


def label(edit: Edit) -> str:
    """What an edit of a span changed: an attribute key, ``status``, ``event retry``."""
    if is_rekeyed(edit):
        return "key"
    if edit.op == "status" and edit.baseline["code"] == edit.current["code"]:
        return "status message"
    word = _LABELS.get(edit.op, edit.op)
    return f"{word} {edit.key}".lstrip() if edit.key and edit.op != "service" else word


def detail(edit: Edit, room: int = 2 * _MAX_SHOWN, marks: Marks = RICH) -> Detail:
    """One edit of what a span says as sign, label and change."""
    sign = edit.op[-1] if edit.op[-1] in "+-" else "~"
    if is_rekeyed(edit):
        return Detail(sign, label(edit), (edit.key or "").replace("→", marks.arrow))
    return Detail(sign, label(edit), _TOLD.get(edit.op, _changed)(edit, max(room, 2 * _SHORTEST), marks))


_LABELS: Final[Mapping[str, str]] = {
    "attr~": "",
    "attr+": "",
    "attr-": "",
    "resource~": "resource",
    "resource+": "resource",
    "resource-": "resource",
    "event+": "event",
    "event-": "event",
    "event~": "event",
    "link+": "link to",
    "link-": "link to",
}
_TOLD: Final[Mapping[str, _Told]] = {
    "attr+": _new,
    "attr-": _old,
    "resource+": _new,
    "resource-": _old,
    "status": _status,
    "event+": lambda edit, room, marks: _item(edit.current, room, marks),
    "event-": lambda edit, room, marks: _item(edit.baseline, room, marks),
    "link+": lambda edit, room, marks: _item(edit.current, room, marks),
    "link-": lambda edit, room, marks: _item(edit.baseline, room, marks),
    "duration": lambda edit, _, marks: f"{edit.baseline} ms {marks.arrow} {edit.current} ms",
}


# ----------------------------------------------------------------------------------------------- sentences


def _size(value: Any, marks: Marks) -> str:
    spans = value["spans"]
    return f"{shown(value['name'], marks=marks)} ({spans:,} span{'s' if spans != 1 else ''})"


def _last(path: str | None) -> str:
    return (path or "").rpartition("/")[2]


_STRUCTURAL: Final[Mapping[str, Callable[[Edit, Marks], str]]] = {
    "rename": lambda edit, marks: f"renamed: {_changed(edit, 2 * _MAX_SHOWN, marks)}",
    "move": lambda edit, marks: (
        f"moved: {_last(edit.path)} from {short_path(edit.baseline, _MAX_SHOWN, marks)}"
        f" to {short_path(edit.current, _MAX_SHOWN, marks)}"
    ),
    "wrap": lambda edit, marks: f"{shown(edit.current['name'], marks=marks)} came between",
    "unwrap": lambda edit, marks: f"{shown(edit.baseline['name'], marks=marks)} went from between",
    "count": lambda edit, marks: (
        f"{_last(edit.path)}: {marks.times}{edit.baseline} {marks.arrow} {marks.times}{edit.current}"
    ),
    "insert": lambda edit, marks: f"new: {_size(edit.current, marks)}",
    "delete": lambda edit, marks: f"missing: {_size(edit.baseline, marks)}",
    "order": lambda edit, marks: f"children start in another order: {shown(edit.path, marks=marks)}",
}
_ONE_SIDED: Final = {"+": "new", "-": "gone"}


def sentence(edit: Edit, marks: Marks = RICH) -> str:
    """One edit in one sentence, without its place."""
    structural = _STRUCTURAL.get(edit.op)
    if structural is not None:
        return structural(edit, marks)
    sign, what, text = detail(edit, marks=marks)
    if is_rekeyed(edit):
        return f"attribute {text}"
    side = _ONE_SIDED.get(sign)
    if side is None:
        return f"{what}: {text}"
    return f"{what} is {side}{f': {text}' if text else ''}"
