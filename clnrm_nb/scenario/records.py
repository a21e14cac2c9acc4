"""Tables of keys as data, and the one reader that reads any of them.

A :class:`Table` declares what a TOML table may hold; reading one gives a :class:`Record`: canonical values,
and where each was written. Unknown keys, aliases, two spellings of one thing, keys without effect and missing
keys are handled here once, for every table of the format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clnrm_nb.scenario.findings import label
from clnrm_nb.scenario.kinds import INVALID, ArrayOf, Free, Kind
from clnrm_nb.scenario.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["NOTES", "Ignored", "Key", "Record", "Table", "TableOf", "TablesByName", "TablesOf"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Parameters
    ----------
    name : str
        Canonical name.
    kind : Kind
        What its value may be.
    aliases : tuple of str
        Other spellings, read as this key (CLN308).
    required : bool
        Missing is CLN304.
    older : str, optional
        The key is itself an older spelling of that one (CLN308), kept apart because both may stand together.
    """

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    required: bool = False
    older: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Keys that are known and have no effect (CLN302); names may be globs.

    ``expected``: they ask for something, so they are also reported as not evaluated.
    """

    names: tuple[str, ...]
    expected: bool = False

    def covers(self, name: str) -> bool:
        """Whether `name` is one of these."""
        return any(fnmatchcase(name, known) for known in self.names)


@dataclass(slots=True)
class Record:
    """A table that was read.

    ``values`` has what could be read, by canonical name; ``written`` the path of every known key that is
    there, readable or not; ``not_evaluated`` the paths of what asks for something and has no effect.
    """

    path: KeyPath
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, KeyPath] = field(default_factory=dict)
    not_evaluated: list[KeyPath] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        """Whether the key is there, readable or not."""
        return name in self.written

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`, or `default` where it is missing or could not be read."""
        return self.values.get(name, default)

    def at(self, name: str) -> KeyPath:
        """Where `name` is written; the table itself if it is not."""
        return self.written.get(name, self.path)

    def some(self, *names: str) -> dict[str, Any]:
        """Those of `names` that have a value: keyword arguments for a model with the same fields."""
        return {name: self.values[name] for name in names if name in self.values}

    @property
    def respelled(self) -> dict[str, KeyPath]:
        """The paths of keys that were written under another name than their own."""
        return {name: path for name, path in self.written.items() if path[-1] != name}


@dataclass(frozen=True)
class Table:
    """What one TOML table may hold. ``title`` is how messages call it."""

    title: str
    keys: tuple[Key, ...]
    ignored: tuple[Ignored, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    is_open: bool = False
    """Any other key is fine and kept out."""

    @cached_property
    def _by_spelling(self) -> dict[str, Key]:
        return {spelling: key for key in self.keys for spelling in (key.name, *key.aliases)}

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys if key.required)

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Record | Any:
        """The record of `value`, or ``INVALID`` where it is no table."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        record = Record(path)
        for name, item in value.items():
            key = self._by_spelling.get(name)
            if key is None:
                self._other(name, record, findings)
            else:
                self._known(key, name, item, record, findings)
        for name in self._required:
            if name not in record.written:
                findings.add("CLN304", path, f"{self._called(path)} needs `{name}`", part="header")
        for group in self.exclusive:
            self._only_one(group, record, findings)
        return record

    def _called(self, path: KeyPath) -> str:
        if not self.title:
            return f"`{label(path)}`"
        return f"`[[{self.title}]]`" if path and isinstance(path[-1], int) else f"`[{self.title}]`"

    def _known(self, key: Key, name: str, item: Any, record: Record, findings: Findings) -> None:
        where = (*record.path, name)
        if key.name in record.written:
            first = record.written[key.name]
            findings.add(
                "CLN309",
                where,
                f"`{first[-1]}` and `{name}` both given",
                part="key",
                related=((first, "the other spelling"),),
            )
            return
        record.written[key.name] = where
        canonical = key.older or (key.name if name != key.name else None)
        if canonical is not None:
            findings.add("CLN308", where, f"`{name}` is spelled `{canonical}`", part="key")
        read = key.kind.read(item, where, findings)
        if read is not INVALID:
            record.values[key.name] = read

    def _other(self, name: str, record: Record, findings: Findings) -> None:
        where = (*record.path, name)
        for ignored in self.ignored:
            if ignored.covers(name):
                findings.add("CLN302", where, f"`{name}` has no effect", part="key")
                if ignored.expected:
                    record.not_evaluated.append(where)
                return
        if self.is_open or name.startswith(("x-", "x_")):
            return
        guess = nearest(name, self._by_spelling)
        meant = f"; did you mean `{guess}`?" if guess else ""
        findings.add("CLN301", where, f"unknown key `{name}`{meant}", part="key")

    def _only_one(self, group: tuple[str, ...], record: Record, findings: Findings) -> None:
        given = [name for name in record.written if name in group]
        for name in given[1:]:
            findings.add(
                "CLN309",
                record.at(name),
                f"`{given[0]}` and `{name}` both given",
                part="key",
                related=((record.at(given[0]), "the other one"),),
            )


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table; its value is a :class:`Record`."""

    table: Table

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The record."""
        return self.table.read(value, path, findings)


@dataclass(frozen=True, slots=True)
class TablesOf:
    """An array of tables (``single``: or one table); its value is a tuple of records."""

    table: Table
    single: bool = False

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The records."""
        if self.single and isinstance(value, dict):
            read = self.table.read(value, path, findings)
            return INVALID if read is INVALID else (read,)
        return ArrayOf(TableOf(self.table), expected="array of tables").read(value, path, findings)


@dataclass(frozen=True, slots=True)
class TablesByName:
    """A table of tables; its value is the records by name."""

    table: Table

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The records by name."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        return dict(self._records(value, path, findings))

    def _records(
        self, value: dict[str, Any], path: KeyPath, findings: Findings
    ) -> Iterator[tuple[str, Record]]:
        for name, item in value.items():
            read = self.table.read(item, (*path, name), findings)
            if read is not INVALID:
                yield name, read


NOTES = tuple(Key(name, Free()) for name in ("description", "reason", "name"))
"""Accepted in every expectation table."""
