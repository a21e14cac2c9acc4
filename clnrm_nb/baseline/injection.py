"""Edits put into a trace on purpose, where a rule holds: how much of what goes wrong there is still seen.

Each edit is put into a small piece of the trace around one span and the piece is compared for real, so that a
trace of any size costs the same. The same rule and trace give the same edits on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.diff.selecting import matcher
from clnrm_nb.spans.canonical import FORMAT, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.spans.table import SpanTable

__all__ = ["INJECTED", "Scope", "inject", "scope_of"]

INJECTED: Final = 50
_MOST_BELOW: Final = 40
_MOST_BESIDE: Final = 24
_TRIES: Final = 8

_Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """The spans of one trace that a rule is about.

    Parameters
    ----------
    rule : Rule
    chains : tuple of tuple of dict
        Each span with all above it, roots first, in canonical form.
    """

    rule: Rule
    chains: tuple[tuple[_Node, ...], ...]


def scope_of(rule: Rule, table: SpanTable) -> Scope:
    """Where a rule holds in a trace: spans with its key, if it has one and any has it."""
    matches = _label_matcher(rule)
    chains = [chain for chain in _chains(canonical(table)) if matches(chain)]
    key = rule.select.get("key")
    if key is not None:
        has = matcher(key)
        keyed = [chain for chain in chains if any(map(has, _keys(chain[-1])))]
        chains = keyed or chains
    return Scope(rule, tuple(chains))


def inject(scope: Scope, n: int = INJECTED) -> tuple[int, int]:
    """How many random edits were injected, and how many of them a comparison under the rule still finds."""
    if not scope.chains:
        return 0, 0
    options = DiffOptions(rules=(scope.rule,))
    pieces: dict[int, _Node] = {}
    depths = [len(chain) for chain in scope.chains]
    injected = found = 0
    for number in range(n):
        draw = Random(f"{scope.rule.id}/{number}")  # noqa: S311  # Repeatable on purpose.
        place = draw.randrange(len(scope.chains))
        piece = pieces.setdefault(place, _piece(scope.chains[place]))
        edited = _edited(piece, depths[place], scope.rule, draw)
        if edited is not None:
            injected += 1
            found += bool(compare(piece, edited, options=options))
    return injected, found


# ----------------------------------------------------------------------------------------------- places


def _chains(document: Mapping[str, Any]) -> Iterator[tuple[_Node, ...]]:
    """Every span with those above it."""
    todo: list[tuple[_Node, ...]] = [(root,) for root in reversed(document["traces"])]
    while todo:
        chain = todo.pop()
        yield chain
        todo.extend((*chain, child) for child in reversed(chain[-1]["children"]))


def _label_matcher(rule: Rule) -> Callable[[Sequence[_Node]], bool]:
    look: dict[str, Callable[[Sequence[_Node]], str]] = {
        "service": lambda chain: str(chain[-1]["resource"].get("service.name", "unknown_service")),
        "scope": lambda chain: str(chain[-1]["scope"]),
        "kind": lambda chain: str(chain[-1]["kind"]),
        "span": lambda chain: str(chain[-1]["name"]),
        "path": lambda chain: "/".join(str(node["name"]) for node in chain),
    }
    wanted = [(look[name], matcher(glob)) for name, glob in rule.select.items() if name in look]
    return lambda chain: all(matches(read(chain)) for read, matches in wanted)


def _keys(node: _Node) -> list[str]:
    named = [name for _, _, names in _values_of(node) for name in names]
    return [*named, *(event["name"] for event in node["events"])]


def _piece(chain: Sequence[_Node]) -> _Node:
    """The trace around a span: those above it, each first among its siblings, some beside it, some below."""
    node = _cut(chain[-1], _MOST_BELOW)
    for above in reversed(chain[:-1]):
        beside = [
            _cut(child, 1) for child in above["children"] if child is not chain[-1] and above is chain[-2]
        ]
        chosen = sorted(beside, key=lambda one: one["name"] != node["name"])[:_MOST_BESIDE]
        node = {**_bare(above), "children": [node, *chosen]}
    return {"format": FORMAT, "traces": [node]}


def _bare(node: _Node) -> _Node:
    return {**deepcopy({key: value for key, value in node.items() if key != "children"}), "links": []}


def _cut(node: _Node, most: int) -> _Node:
    """A copy of the first spans of a subtree, level by level."""
    top = {**_bare(node), "children": []}
    todo = [(node, top)]
    left = most - 1
    for original, made in todo:
        for child in original["children"][: max(left, 0)]:
            twin = {**_bare(child), "children": []}
            made["children"].append(twin)
            todo.append((child, twin))
        left -= len(made["children"])
    return top


# ------------------------------------------------------------------------------------------------ edits


def _edited(piece: _Node, depth: int, rule: Rule, draw: Random) -> _Node | None:
    """The piece with one edit at its span; ``None`` where none can be made there."""
    key = rule.select.get("key")
    for _ in range(_TRIES):
        made = deepcopy(piece)
        spot = _spot(made, depth)
        is_about_key = key is not None and draw.random() < _HALF
        if _value_of_key(spot[0], key or "", draw) if is_about_key else draw.choice(_WAYS)(*spot, draw):
            return made
    return None


def _spot(piece: _Node, depth: int) -> tuple[_Node, list[_Node]]:
    """The span a piece was cut around, and the list it stands in."""
    siblings: list[_Node] = piece["traces"]
    for _ in range(depth - 1):
        siblings = siblings[0]["children"]
    return siblings[0], siblings


_HALF: Final = 0.5


def _word(draw: Random) -> str:
    return "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(4, 10)))


def _changed(value: Any, draw: Random) -> Any:
    """Another value, as things go wrong: off by one, far off, another type, another word."""
    if isinstance(value, bool):
        return draw.choice([not value, str(value).lower(), None])
    if isinstance(value, int | float):
        far = value * draw.choice([2, 10, 100]) + 1
        return draw.choice([value + 1, -value - 1, far, far, str(value), draw.randint(0, 2**31)])
    if isinstance(value, str):
        return draw.choice(["", value + _word(draw), value[: len(value) // 2], _word(draw), _word(draw), 0])
    return draw.choice([_word(draw), draw.randint(0, 1000), None])


def _values_of(node: _Node) -> Iterator[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """Every value of a span: what holds it, under which key, and what a rule may call it."""
    for holder in (node["attributes"], node["resource"]):
        yield from ((holder, key, (key,)) for key in holder)
    for event in node["events"]:
        held = event["attributes"]
        yield from ((held, key, (key, f"{event['name']}.{key}")) for key in held)


def _set(holder: dict[str, Any], key: str, value: Any) -> bool:
    if key in holder and json.dumps(holder[key]) == json.dumps(value):
        return False
    holder[key] = value
    return True


def _value_of_key(node: _Node, glob: str, draw: Random) -> bool:
    """The key that the rule is about: another value, or none at all."""
    matches = matcher(glob)
    status = node["status"]
    if glob.startswith("status."):
        part = glob.removeprefix("status.")
        return _set(status, part, "error" if part == "code" else _changed(status.get(part, ""), draw))
    found = [(holder, key) for holder, key, names in _values_of(node) if any(map(matches, names))]
    if not found:
        return _other_value(node, [], draw)
    holder, key = draw.choice(found)
    if draw.random() < _REMOVED:
        del holder[key]
        return True
    return _set(holder, key, _changed(holder[key], draw))


_REMOVED: Final = 0.15


def _other_value(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    attributes = node["attributes"]
    if not attributes:
        return False
    key = draw.choice(sorted(attributes))
    return _set(attributes, key, _changed(attributes[key], draw))


def _new_attribute(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    return _set(node["attributes"], f"injected.{_word(draw)}", draw.randint(0, 1000))


def _no_attribute(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    if not node["attributes"]:
        return False
    del node["attributes"][draw.choice(sorted(node["attributes"]))]
    return True


def _status(node: _Node, _siblings: list[_Node], _draw: Random) -> bool:
    was = node["status"]["code"]
    node["status"] = {"code": "ok" if was == "error" else "error", "message": ""}
    return True


def _rename(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    node["name"] = f"{node['name']} {_word(draw)}"
    return True


def _event(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    node["events"].append({"name": _word(draw), "attributes": {}})
    return True


def _new_child(node: _Node, _siblings: list[_Node], draw: Random) -> bool:
    node["children"].append({**_bare(node), "name": _word(draw), "attributes": {}, "children": []})
    return True


def _gone(node: _Node, siblings: list[_Node], _draw: Random) -> bool:
    siblings.remove(node)
    return True


def _again(node: _Node, siblings: list[_Node], draw: Random) -> bool:
    siblings.extend(deepcopy(node) for _ in range(draw.choice([1, 1, 2, 10])))
    return True


_WAYS: Final[tuple[Callable[[_Node, list[_Node], Random], bool], ...]] = (
    _other_value,
    _new_attribute,
    _no_attribute,
    _status,
    _rename,
    _event,
    _new_child,
    _gone,
    _again,
)
"""Each changes a span, or the list it stands in, if it can."""
