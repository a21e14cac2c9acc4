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
_Made = TypeVar("_Made")


class Memo(dict[_Key, _Made]):
    """What is made of keys, each when it is first asked for."""

    def __init__(self, make: Callable[[_Key], _Made]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _Key) -> _Made:
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


def _text(text: str) -> str:
    return str(json.loads(text))


def _service(resource: str) -> str:
    return str(json.loads(resource).get("service.name", "unknown_service"))


class Interner:
    """Numbers of span contents (`own`) and of subtrees (`full`)."""

    def __init__(self) -> None:
        self.parts: list[Parts] = []
        self.own_of: list[int] = []
        self.children_of: list[tuple[int, ...]] = []
        self._own: dict[tuple[str, ...], int] = {}
        self._names = Memo[str, str](_text)
        self._services = Memo[str, str](_service)
        self._full: dict[tuple[int, tuple[int, ...]], int] = {}
        self._leaves: dict[int, int] = {}
        self._labels: dict[tuple[str, str, str, str], Label] = {}
        self._same_labels: dict[Label, Label] = {}
        self.positions = Positions()
        self.texts = Memo[str, str](canonical_json)
        """Strings as canonical JSON, one text for both sides."""
        self._key = cmp_to_key(self._compare)

    @property
    def n_known(self) -> int:
        """How many contents and subtrees have numbers."""
        return len(self.parts) + len(self.own_of)

    def copy(self) -> Interner:
        """The same numbers, to go on from."""
        twin = Interner()
        twin.parts, twin.own_of, twin.children_of = self.parts[:], self.own_of[:], self.children_of[:]
        twin._own, twin._full, twin._leaves = self._own.copy(), self._full.copy(), self._leaves.copy()
        twin._names.update(self._names)
        twin._services.update(self._services)
        twin._labels, twin._same_labels = self._labels.copy(), self._same_labels.copy()
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
            number = known.get(texts)
            if number is None:
                new = Parts._make(texts)
                number = known[new] = len(parts)
                parts.append(new)
            found.append(number)
        return found

    def full(self, own: int, children: tuple[int, ...]) -> int:
        """The number of a subtree; `children` in canonical order."""
        number = self._full.get((own, children)) if children else self._leaves.get(own)
        return self._new(own, children) if number is None else number

    def _new(self, own: int, children: tuple[int, ...]) -> int:
        number = len(self.own_of)
        if children:
            self._full[own, children] = number
        else:
            self._leaves[own] = number
        self.own_of.append(own)
        self.children_of.append(children)
        return number

    def fulls(self, owns: Sequence[int], below: Sequence[list[int]], ages: Sequence[Any]) -> list[int]:
        """The numbers of all subtrees of a forest.

        Parameters
        ----------
        owns : sequence of int
            Contents, by place; parents come before their children.
        below : sequence of list of int
            Places of children; put in canonical order here, equal ones by age. The last are the roots.
        ages : sequence
            What sorts equal subtrees.
        """
        found = [0] * len(owns)
        subtrees, leaves, parts = self._full.get, self._leaves.get, self.parts

        def sort(mine: list[int]) -> None:
            """What comes first in the text decides nearly always."""
            texts = [parts[owns[place]].attributes for place in mine]
            n_texts = len(set(texts))
            if n_texts == len(texts):
                mine[:] = [place for _, place in sorted(zip(texts, mine, strict=True))]
            elif n_texts == len(set(zip(texts, [found[place] for place in mine], strict=True))):
                mine.sort(key=lambda place: (parts[owns[place]].attributes, ages[place]))
            else:
                mine.sort(key=ages.__getitem__)
                mine.sort(key=lambda place: self.key(found[place]))

        for place in range(len(owns) - 1, -1, -1):
            mine = below[place]
            if not mine:
                children: tuple[int, ...] = ()
                number = leaves(owns[place])
            else:
                if len(mine) > 1:
                    sort(mine)
                children = tuple([found[child] for child in mine])
                number = subtrees((owns[place], children))
            found[place] = self._new(owns[place], children) if number is None else number
        if len(below[-1]) > 1:
            sort(below[-1])
        return found

    def names(self, owns: Iterable[int]) -> list[str]:
        """The names of spans with these contents."""
        return list(map(self._names.__getitem__, [self.parts[own].name for own in owns]))

    def services(self, owns: Iterable[int]) -> list[str]:
        """The services of spans with these contents."""
        return list(map(self._services.__getitem__, [self.parts[own].resource for own in owns]))

    def text(self, text: str) -> str:
        """What a canonical text of a string says."""
        return self._names[text]

    def service(self, resource: str) -> str:
        """The service a resource's text names."""
        return self._services[resource]

    def label(self, own: int) -> Label:
        """The label of a span with this content; equal labels are one object."""
        _, _, kind, _, name, resource, scope, _ = self.parts[own]
        found = self._labels.get((resource, scope, kind, name))
        if found is None:
            found = Label(self.service(resource), scope, kind, name)
            # Resources of one service give equal labels.
            found = self._same_labels.setdefault(found, found)
            self._labels[resource, scope, kind, name] = found
        return found

    def key(self, full: int) -> tuple[str, Any]:
        """Sorts subtrees in canonical order: attributes come first in the text and mostly decide."""
        return self.parts[self.own_of[full]].attributes, self._key(full)

    def sorted(self, fulls: Sequence[int]) -> tuple[int, ...]:
        """Subtrees in canonical order."""
        if len(fulls) < 2:  # noqa: PLR2004  # nothing to sort
            return tuple(fulls)
        parts, own_of = self.parts, self.own_of
        firsts = [parts[own_of[full]].attributes for full in fulls]
        if len(set(firsts)) == len(firsts):
            return tuple([full for _, full in sorted(zip(firsts, fulls, strict=True))])
        return tuple(sorted(fulls, key=self.key))

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
