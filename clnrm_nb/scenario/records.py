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

from clnrm_nb.config.nearest import nearest
from clnrm_nb.scenario.findings import label
from clnrm_nb.scenario.kinds import INVALID, ArrayOf, Free, Kind
from clnrm_nb.scenario.offers import meant_key
from clnrm_nb.scenario.repairs import Delete, Rename, Repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    lower : callable, optional
        The repair that writes an older key of another shape as the current one.
    """

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    required: bool = False
    older: str | None = None
    lower: Callable[[KeyPath, Any], Repair | None] | None = None


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
                self._other(name, item, record, findings)
            else:
                self._known(key, name, value, record, findings)
        for name in self._required:
            if name not in record.written:
                findings.add(
                    "CLN304", path, f"{self._called(path)} needs `{name}`", part="header", lacks=name
                )
        for group in self.exclusive:
            self._only_one(group, record, findings)
        return record

    def _called(self, path: KeyPath) -> str:
        if not self.title:
            return f"`{label(path)}`"
        return f"`[[{self.title}]]`" if path and isinstance(path[-1], int) else f"`[{self.title}]`"

    def _known(
        self, key: Key, name: str, siblings: dict[str, Any], record: Record, findings: Findings
    ) -> None:
        where = (*record.path, name)
        if key.name in record.written:
            first = record.written[key.name]
            findings.add(
                "CLN309",
                where,
                f"`{first[-1]}` and `{name}` both given",
                part="key",
                related=((first, "the other spelling"),),
                repair=Repair(f"Keep `{first[-1]}` only", (Delete(where),), safe=False),
            )
            return
        record.written[key.name] = where
        canonical = key.older or (key.name if name != key.name else None)
        if canonical is not None:
            repair = self._respelled(key, where, canonical, siblings)
            findings.add("CLN308", where, f"`{name}` is spelled `{canonical}`", part="key", repair=repair)
        read = key.kind.read(siblings[name], where, findings)
        if read is not INVALID:
            record.values[key.name] = read

    def _respelled(self, key: Key, where: KeyPath, canonical: str, siblings: dict[str, Any]) -> Repair | None:
        """A current spelling that takes no more than another name for a key, or for its table."""
        holder, dot, _ = canonical.rpartition(".")
        renamed = Repair(f"Rename to `{canonical}`", (Rename(where, canonical),))
        if key.older is None:
            return renamed
        if not dot:
            current = self._by_spelling.get(canonical)
            is_same = current is not None and current.kind == key.kind
            if is_same and canonical in siblings:
                return Repair(f"Take it out: `{canonical}` counts", (Delete(where),))
            return renamed if is_same else self._lowered(key, where, siblings)
        if len(where) == 1:
            return renamed if holder in siblings else None
        is_whole = all(other.older for name, other in self._by_spelling.items() if name in siblings)
        if holder in siblings or not is_whole:
            return None
        table = f"{where[-2]}.{holder}"
        return Repair(f"Rename to `[{table}]`", (Rename(where[:-1], table),))

    @staticmethod
    def _lowered(key: Key, where: KeyPath, siblings: dict[str, Any]) -> Repair | None:
        return key.lower(where, siblings[str(where[-1])]) if key.lower and key.older not in siblings else None

    def _other(self, name: str, value: Any, record: Record, findings: Findings) -> None:
        where = (*record.path, name)
        for ignored in self.ignored:
            if ignored.covers(name):
                repair = Repair("Take it out", (Delete(where),), safe=not ignored.expected)
                findings.add("CLN302", where, f"`{name}` has no effect", part="key", repair=repair)
                if ignored.expected:
                    record.not_evaluated.append(where)
                return
        if self.is_open or name.startswith(("x-", "x_")):
            return
        guess = nearest(name, self._by_spelling)
        meant = f"; did you mean `{guess}`?" if guess else ""
        # Two arrays of tables with headers of their own become one; other keys must not meet.
        many = isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
        free = [known for known, key in self._by_spelling.items() if many or key.name not in record.written]
        renamed = meant_key(where, name, free)
        findings.add("CLN301", where, f"unknown key `{name}`{meant}", part="key", repair=renamed)

    def _only_one(self, group: tuple[str, ...], record: Record, findings: Findings) -> None:
        given = [name for name in record.written if name in group]
        for name in given[1:]:
            findings.add(
                "CLN309",
                record.at(name),
                f"`{given[0]}` and `{name}` both given",
                part="key",
                related=((record.at(given[0]), "the other one"),),
                repair=Repair(f"Keep `{given[0]}` only", (Delete(record.at(name)),), safe=False),
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
