"""Numbers for equal things: what a span says, and whole subtrees, over both sides of a diff together.

Interning instead of hashing: no collisions, nothing depends on the hash seed. Equal number, equal canonical
text. The order of siblings in the canonical form is the order of those texts; two different subtrees are
compared by walking down their first difference, so no text is ever written to be sorted.
"""

from __future__ import annotations

import json
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from clnrm_nb.diff.positions import Label, Positions
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Interner", "Memo", "Parts"]

_Key = TypeVar("_Key")


class Memo(dict[_Key, str]):
    """Texts by what they are of, each made when it is first asked for."""

    def __init__(self, make: Callable[[_Key], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _Key) -> str:
        made = self[key] = self._make(key)
        return made


class Parts(NamedTuple):
    """What one span says, as canonical JSON texts; together with its children they are its canonical form."""

    attributes: str
    events: str
    kind: str
    links: str
    name: str
    resource: str
    scope: str
    status: str

    @property
    def before(self) -> str:
        """The canonical text before the children."""
        return f'{{"attributes":{self.attributes},"children":['

    @property
    def after(self) -> str:
        """The canonical text behind the children."""
        return (
            f'],"events":{self.events},"kind":{self.kind},"links":{self.links},"name":{self.name}'
            f',"resource":{self.resource},"scope":{self.scope},"status":{self.status}}}'
        )


class Interner:
    """Numbers of span contents (`own`) and of subtrees (`full`)."""

    def __init__(self) -> None:
        self.parts: list[Parts] = []
        self.own_of: list[int] = []
        self.children_of: list[tuple[int, ...]] = []
        self._own: dict[tuple[str, ...], int] = {}
        self._names: dict[str, str] = {}
        self._services: dict[str, str] = {}
        self._full: dict[tuple[int, tuple[int, ...]], int] = {}
        self._labels: dict[int, Label] = {}
        self.positions = Positions()
        self.texts = Memo[str](canonical_json)
        """Strings as canonical JSON, one text for both sides."""
        self._key = cmp_to_key(self._compare)

    def copy(self) -> Interner:
        """The same numbers, to go on from."""
        twin = Interner()
        twin.parts, twin.own_of, twin.children_of = self.parts[:], self.own_of[:], self.children_of[:]
        twin._own, twin._full = self._own.copy(), self._full.copy()
        twin._names, twin._services = self._names.copy(), self._services.copy()
        twin._labels = self._labels.copy()
        twin.positions = self.positions.copy()
        twin.texts.update(self.texts)
        return twin

    def own(self, parts: Parts) -> int:
        """The number of a span's content."""
        number = self._own.setdefault(parts, len(self.parts))
        if number == len(self.parts):
            self.parts.append(parts)
        return number

    def owns(self, contents: Iterable[tuple[str, ...]]) -> list[int]:
        """The numbers of many contents, each the texts of :class:`Parts` in their order."""
        known, parts, found = self._own, self.parts, []
        for texts in contents:
            number = known.setdefault(texts, len(parts))
            if number == len(parts):
                parts.append(Parts._make(texts))
            found.append(number)
        return found

    def full(self, own: int, children: tuple[int, ...]) -> int:
        """The number of a subtree; `children` in canonical order."""
        number = self._full.setdefault((own, children), len(self.own_of))
        if number == len(self.own_of):
            self.own_of.append(own)
            self.children_of.append(children)
        return number

    def name(self, own: int) -> str:
        """The name of a span with this content."""
        return self.text(self.parts[own].name)

    def text(self, text: str) -> str:
        """What a canonical text of a string says."""
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = str(json.loads(text))
        return found

    def service(self, resource: str) -> str:
        """The service a resource's text names."""
        found = self._services.get(resource)
        if found is None:
            name = json.loads(resource).get("service.name", "unknown_service")
            found = self._services[resource] = str(name)
        return found

    def label(self, own: int) -> Label:
        """The label of a span with this content."""
        found = self._labels.get(own)
        if found is None:
            parts = self.parts[own]
            service = self.service(parts.resource)
            found = self._labels[own] = Label(service, parts.scope, parts.kind, parts.name)
        return found

    def key(self, full: int) -> tuple[str, Any]:
        """Sorts subtrees in canonical order: attributes come first in the text and mostly decide."""
        return self.parts[self.own_of[full]].attributes, self._key(full)

    def sorted(self, fulls: Sequence[int]) -> tuple[int, ...]:
        """Subtrees in canonical order."""
        return tuple(sorted(fulls, key=self.key)) if len(fulls) > 1 else tuple(fulls)

    def _compare(self, one: int, other: int) -> int:
        """Order of two canonical texts, see :mod:`clnrm_nb.spans.canonical`."""
        while one != other:
            mine, theirs = self.parts[self.own_of[one]], self.parts[self.own_of[other]]
            if mine.attributes != theirs.attributes:
                return -1 if mine.attributes < theirs.attributes else 1
            my_children, their_children = self.children_of[one], self.children_of[other]
            for my_child, their_child in zip(my_children, their_children, strict=False):
                if my_child != their_child:
                    one, other = my_child, their_child
                    break
            else:
                if len(my_children) != len(their_children):
                    # After equal children the longer list goes on with a comma; an empty one ends at once.
                    shorter_first = not my_children or not their_children
                    return -1 if (len(my_children) < len(their_children)) == shorter_first else 1
                return -1 if mine.after < theirs.after else 1
        return 0
