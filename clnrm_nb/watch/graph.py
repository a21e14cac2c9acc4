"""Which tests depend on which files, from facts that others found out by rendering and validating.

Answers one question quickly and exactly: these paths changed, whom does that concern, and why? Files that
were looked for and are missing are dependencies like others; of a mounted directory, all that lies below is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from clnrm_nb.watch.changes import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from clnrm_nb.watch.changes import Change, Kind

__all__ = ["Facts", "Graph", "Reason", "Role"]

Role = Literal[
    "scenario", "template", "missing", "variables", "mount", "baseline", "recording", "configuration"
]
_ROLES: Final[tuple[Role, ...]] = get_args(Role)
_VERBS: Final[Mapping[Kind, str]] = {"created": "is there now", "changed": "changed", "deleted": "is gone"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What one test was made of when it was last rendered, validated and started.

    Parameters
    ----------
    test : str
        Its id; of a file that cannot be rendered, the file's.
    file : str
        Its scenario file.
    templates : frozenset of str
        Template files read: included, imported, extended, and library files of the configuration.
    missing : frozenset of str
        Files that were looked for and are not there.
    variables : frozenset of str
        Files that variables were read from.
    mounts : frozenset of str
        Files and directories that are mounted or copied; of a directory, all that is below it.
    writable : frozenset of str
        Those of them that the test may write to.
    baselines : frozenset of str
        Accepted traces it is compared with, those not there yet included, and their rules.
    recordings : frozenset of str
        Recordings it replays.
    """

    test: str
    file: str
    templates: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    mounts: frozenset[str] = frozenset()
    writable: frozenset[str] = frozenset()
    baselines: frozenset[str] = frozenset()
    recordings: frozenset[str] = frozenset()

    def roles(self) -> Iterator[tuple[str, Role]]:
        """Each path with what it is to the test; the more telling role comes last."""
        yield from ((path, "missing") for path in self.missing)
        yield from ((path, "mount") for path in self.mounts)
        yield from ((path, "recording") for path in self.recordings)
        yield from ((path, "baseline") for path in self.baselines)
        yield from ((path, "variables") for path in self.variables)
        yield from ((path, "template") for path in self.templates)
        yield self.file, "scenario"


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """Why a test is concerned.

    Parameters
    ----------
    role : str
        What the file is to the test.
    path : str
        The file that changed.
    kind : str
        ``created``, ``changed`` or ``deleted``.
    """

    role: Role
    path: str
    kind: Kind

    def sentence(self, relative: Callable[[str], str] = str) -> str:
        """For display, with the path as `relative` shows it.

        Examples
        --------
        >>> Reason("template", "/p/templates/_m.tera", "changed").sentence(lambda path: path[3:])
        'because templates/_m.tera changed'
        """
        return f"because {relative(self.path)} {_VERBS[self.kind]}"


@dataclass(slots=True)
class Graph:
    """Facts of all tests, and the way back from a path to them.

    Parameters
    ----------
    configuration : frozenset of str
        Files every test depends on; they need not exist.
    """

    configuration: frozenset[str] = frozenset()
    _facts: dict[str, Facts] = field(default_factory=dict, repr=False)
    _users: dict[str, dict[str, Role]] = field(default_factory=dict, repr=False)
    _below: dict[str, set[str]] = field(default_factory=dict, repr=False)

    @property
    def tests(self) -> Mapping[str, Facts]:
        """Facts by test id."""
        return self._facts

    def tests_of(self, file: str) -> list[str]:
        """Ids of the tests that a scenario file describes."""
        return [test for test, role in self._users.get(file, {}).items() if role == "scenario"]

    def put(self, facts: Facts) -> None:
        """Facts of a test, in place of any there were."""
        old = self._facts.get(facts.test)
        if old == facts:
            return
        self.drop(facts.test)
        self._facts[facts.test] = facts
        for path, role in facts.roles():
            self._users.setdefault(path, {})[facts.test] = role
        for path in facts.mounts:
            self._below.setdefault(path, set()).add(facts.test)

    def drop(self, test: str) -> None:
        """Forget a test; nothing happens if it is unknown."""
        facts = self._facts.pop(test, None)
        if facts is None:
            return
        for path, _role in facts.roles():
            users = self._users.get(path)
            if users is not None and users.pop(test, None) is not None and not users:
                del self._users[path]
        for path in facts.mounts:
            below = self._below[path]
            below.discard(test)
            if not below:
                del self._below[path]

    def names(self, path: str) -> bool:
        """Whether a test, or all, depend on exactly this path."""
        return path in self._users or path in self.configuration

    def covers(self, path: str) -> bool:
        """Whether it lies in a mounted directory."""
        return bool(self._below) and any(place in self._below for place in _above(path))

    def paths(self) -> list[str]:
        """Every path a test, or all, depend on; of mounted directories only their own."""
        return [*self._users, *self.configuration]

    def dependents(self, changes: Iterable[Change]) -> dict[str, tuple[Reason, ...]]:
        """Tests that depend on what changed, each with its reasons, in the order of the tests.

        A change of configuration concerns every test.
        """
        found: dict[str, set[Reason]] = {}
        for change in changes:
            if change.path in self.configuration:
                reason = Reason("configuration", change.path, change.kind)
                for test in change.readers or self._facts:
                    found.setdefault(test, set()).add(reason)
            for test, role in self._concerned(change):
                found.setdefault(test, set()).add(Reason(role, change.path, change.kind))
        return {
            test: tuple(sorted(found[test], key=_order))
            for test in (self._facts if len(found) > 1 else found)
            if test in found
        }

    def _concerned(self, change: Change) -> Iterator[tuple[str, Role]]:
        """Tests by the path itself, by where a symlink leads, and by mounted directories around it."""
        for test, role in self._all_concerned(change):
            if not change.readers or test in change.readers:
                yield test, role

    def _all_concerned(self, change: Change) -> Iterator[tuple[str, Role]]:
        seen: set[str] = set()
        for path in (change.path, *change.targets):
            for test, role in self._users.get(path, {}).items():
                seen.add(test)
                yield test, role
        if self._below:
            for path in (change.path, *change.targets):
                for place in _above(path):
                    for test in self._below.get(place, set()) - seen:
                        seen.add(test)
                        yield test, "mount"

    def writers(self, change: Change) -> set[str]:
        """Tests that may have made a change themselves, to a file that is nothing but mounted for them."""
        concerned = self.dependents([change])
        mounted = {test for test, why in concerned.items() if all(each.role == "mount" for each in why)}
        around = {place for path in (change.path, *change.targets) for place in (path, *_above(path))}
        return {test for test in mounted if not around.isdisjoint(self._facts[test].writable)}

    def places(self) -> set[Place]:
        """Directories that have to be watched so that no change of a dependency goes unnoticed."""
        places = {Place(os.path.dirname(path)) for path in (*self._users, *self.configuration)}
        places.update(Place(path, recursive=True, whole=True) for path in self._below if os.path.isdir(path))
        return places


def _above(path: str) -> Iterator[str]:
    """The directories around a path, innermost first."""
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _order(reason: Reason) -> tuple[int, str]:
    return _ROLES.index(reason.role), reason.path
