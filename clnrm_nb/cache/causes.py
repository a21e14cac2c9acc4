"""What two keys differ in, as data: the causes of a miss, and of a verdict that has to be given anew.

Pure: from the parts of a key as they were stored and the parts as they are, to one :class:`Cause` for each
thing that differs, down to the field of the scenario, the variable, the file.
"""

from __future__ import annotations

import hashlib
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache.entry import Cause
from clnrm_nb.cache.sight import Sight
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.cache.key import Key
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["MOST_CAUSES", "between", "between_verdicts"]

MOST_CAUSES: Final = 50
"""Of one comparison: whoever has changed more has changed everything."""

_ABSENT: Final = object()
_NOWHERE: Final = Sight()
_NESTED: Final = frozenset({"scenario", "limits", "more"})
"""Parts that are trees; the others are names with values."""
_NOTHING: Final = {"environment": "not set", "files": "missing", "mounts": "missing", "images": "unknown"}
_UNITS: Final = {"_s": "s", "_ms": "ms", "_mb": "MiB", "_millicores": "millicores"}
_LONGEST: Final = 80
_CONTEXT: Final = 20
"""Characters of a value that are shown, and of those how many before the first difference."""


def between(before: Mapping[str, Any], after: Mapping[str, Any], sight: Sight = _NOWHERE) -> list[Cause]:
    """What makes two hashes differ.

    Parameters
    ----------
    before, after : mapping
        :attr:`~clnrm_nb.cache.Key.parts`.
    sight : Sight
        Where the parts of `after` stand.

    Returns
    -------
    list of Cause
        In the order of the parts; empty iff all parts are equal.
    """
    found: list[Cause] = []
    for kind in dict.fromkeys([*after, *before]):
        old, new = before.get(kind, {}), after.get(kind, {})
        if _is_same(old, new):
            continue
        found += _of_part(kind, old, new, sight)
    found = [cause for cause in found if not _follows(cause, found)]
    return sorted(found, key=_by_weight)[:MOST_CAUSES]


def between_verdicts(before: Key, after: Key, sight: Sight = _NOWHERE) -> list[Cause]:
    """What makes two verdict hashes differ: expectations, rules of the file, rules of the project."""
    old, new = ({**_as_mapping(key.expectations), "project_rules": key.rules} for key in (before, after))
    found = [_of_verdict(path, one, other, sight) for path, one, other in _differences(old, new, ())]
    return found[:MOST_CAUSES]


# ----------------------------------------------------------------------------------------------- parts


def _of_part(kind: str, old: Any, new: Any, sight: Sight) -> Iterator[Cause]:
    if not isinstance(old, dict) and not isinstance(new, dict):
        yield Cause(kind, "", *_shown(old, new))
    elif kind in _NESTED:
        for path, one, other in _differences(_as_mapping(old), _as_mapping(new), ()):
            is_written = kind == "scenario"
            yield (
                _of_scenario(path, one, other, sight)
                if is_written
                else Cause(kind, dotted(path), *_shown(one, other))
            )
    else:
        old, new = _as_mapping(old), _as_mapping(new)
        for name in dict.fromkeys([*new, *old]):
            one, other = old.get(name, _ABSENT), new.get(name, _ABSENT)
            if not _is_same(one, other):
                yield _of_name(kind, name, one, other, sight)


def _of_name(kind: str, name: str, old: Any, new: Any, sight: Sight) -> Cause:
    if kind in _NOTHING:
        # Not asked for is one thing, asked for and not there another.
        old, new = (_NOTHING[kind] if value is None else value for value in (old, new))
    before, after = _shown(old, new)
    if kind == "variables":
        return Cause(kind, name, before, after, sight.uses_of_variable(name), sight.origin_of(name))
    if kind == "environment":
        return Cause(kind, name, before, after, sight.uses_of_environment(name))
    return Cause(
        kind, name, before, after, at=tuple(sight.mounted.get(name, ())), lines=sight.lines.get(name)
    )


def _of_scenario(path: KeyPath, old: Any, new: Any, sight: Sight) -> Cause:
    written = sight.path_of(path)
    before, after = _with_unit(path, *_shown(old, new))
    return Cause("scenario", dotted(written), before, after, sight.place_of(written))


def _with_unit(path: KeyPath, *texts: str | None) -> tuple[str | None, ...]:
    """Numbers with the unit of the model, which may not be that of the key in the file."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    unit = next((word for suffix, word in _UNITS.items() if name.endswith(suffix)), "")
    return tuple(f"{text} {unit}" if unit and text and text[0].isdigit() else text for text in texts)


def _of_verdict(path: KeyPath, old: Any, new: Any, sight: Sight) -> Cause:
    """Expectations by where they are written; whatever else decides, by its name."""
    kind, *rest = path
    if kind not in ("test", "scenarios"):
        return Cause(str(kind), dotted(tuple(rest)), *_shown(old, new))
    model: KeyPath = ("expect", *rest)
    if kind == "scenarios":
        name, *inner = rest
        model = (*sight.scenario_named(str(name)), "expect", *inner)
    written = sight.path_of(model)
    return Cause("expectations", dotted(written), *_shown(old, new), sight.place_of(written))


def _follows(cause: Cause, causes: list[Cause]) -> bool:
    """Whether it only says that a standard variable comes from elsewhere now, which another one says."""
    if cause.kind != "environment" or None not in (cause.before, cause.after):
        return False
    from clnrm_nb.template.variables import STANDARD

    behind = {name for name, (environment, _) in STANDARD.items() if environment == cause.name}
    return any(one.kind == "variables" and one.name in behind for one in causes)


def _by_weight(cause: Cause) -> int:
    """First what a person has done, then what that did to the scenario."""
    return {"variables": 0, "environment": 0, "scenario": 2}.get(cause.kind, 1)


# ---------------------------------------------------------------------------------------- comparing


def _differences(old: Any, new: Any, path: KeyPath) -> list[tuple[KeyPath, Any, Any]]:
    """The smallest parts that differ, in document order."""
    found: list[tuple[KeyPath, Any, Any]] = []
    todo: list[tuple[KeyPath, Any, Any]] = [(path, old, new)]
    while todo:
        place, one, other = todo.pop()
        if _is_same(one, other):
            continue
        inner = _inner(one, other)
        if inner is None:
            found.append((place, one, other))
        else:
            todo += [((*place, key), before, after) for key, before, after in reversed(inner)]
    return found


def _inner(old: Any, new: Any) -> list[tuple[str | int, Any, Any]] | None:
    """Members side by side; ``None`` where only the whole can be told."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in dict.fromkeys([*new, *old])]
    if isinstance(old, list) and isinstance(new, list) and old and new:
        if len(old) == len(new):
            return [(index, *pair) for index, pair in enumerate(zip(old, new, strict=True))]
        if _are_tables(old) and _are_tables(new):
            return _aligned(old, new)
    return None


def _are_tables(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _aligned(old: list[Any], new: list[Any]) -> list[tuple[str | int, Any, Any]]:
    """Tables of lists of unequal lengths: what is in only one of them, by equal beginnings and endings."""
    begin = 0
    while begin < min(len(old), len(new)) and _is_same(old[begin], new[begin]):
        begin += 1
    end = 0
    while end < min(len(old), len(new)) - begin and _is_same(old[-1 - end], new[-1 - end]):
        end += 1
    olds, news = old[begin : len(old) - end], new[begin : len(new) - end]
    size = max(len(olds), len(news))
    olds += [_ABSENT] * (size - len(olds))
    news += [_ABSENT] * (size - len(news))
    return [(begin + index, *pair) for index, pair in enumerate(zip(olds, news, strict=True))]


def _as_mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {} if value in (None, _ABSENT) else {"": value}


def _is_same(one: Any, other: Any) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return bool(one == other) and canonical_json(one) == canonical_json(other)


# ------------------------------------------------------------------------------------------- words


def dotted(path: KeyPath) -> str:
    """``scenario[0].run``.

    Examples
    --------
    >>> dotted(("services", "api", "ports", 0))
    'services.api.ports[0]'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _shown(old: Any, new: Any) -> tuple[str | None, str | None]:
    """Two values as JSON, texts of names as they are; of long ones the part in which they differ."""
    texts = [_text(value) for value in (old, new)]
    if max(len(text or "") for text in texts) <= _LONGEST:
        return texts[0], texts[1]
    pairs = zip(texts[0] or "", texts[1] or "", strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(0, common - _CONTEXT)
    return _window(texts[0], start), _window(texts[1], start)


def _text(value: Any) -> str | None:
    if value is _ABSENT or value is None:
        return None
    text = canonical_json(_without_nothing(value))
    # A seal says that something is there and not what, and neither do the words around it.
    return f"hmac:{hashlib.sha256(text.encode()).hexdigest()[:16]}" if '"hmac:' in text else text


def _without_nothing(value: Any) -> Any:
    """Without the fields nobody has set, which a model is full of."""
    if isinstance(value, dict):
        return {key: _without_nothing(inner) for key, inner in value.items() if inner not in (None, [], {})}
    if isinstance(value, list):
        return [_without_nothing(inner) for inner in value]
    return value


def _window(text: str | None, start: int) -> str | None:
    if text is None:
        return None
    end = start + _LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"
