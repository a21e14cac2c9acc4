"""The kinds of values that only expectations have: bounds, edges, attribute and event checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.findings import label
from clnrm_nb.scenario.kinds import (
    INVALID,
    REGEX,
    ArrayOf,
    Flag,
    Free,
    Kind,
    Num,
    Pattern,
    Spelled,
    Text,
    Whole,
)
from clnrm_nb.scenario.model import AttributeCheck, Bound
from clnrm_nb.scenario.records import Key, Table
from clnrm_nb.scenario.repairs import Delete, JoinKeys, Rename, Repair, Rewrite, basic_string
from clnrm_nb.scenario.spelling import check_glob, flatten

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath

__all__ = [
    "Assertions",
    "AttributeChecks",
    "Attributes",
    "BoundOf",
    "ByName",
    "EdgeOf",
    "EventChecks",
    "ForbiddenKeys",
    "MustMatch",
]

BOUND_WORDS: Final = ("eq", "gt", "gte", "lt", "lte", "min", "max")
OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "glob", "regex", "exists")

GLOB: Final = Spelled((str,), "string", check_glob)


@dataclass(frozen=True, slots=True)
class BoundOf:
    """Limits on a number: ``{eq, gt, gte, lt, lte}``, ``{min, max}`` or the number itself."""

    number: Kind

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The :class:`~clnrm_nb.scenario.model.Bound`."""
        if not isinstance(value, dict):
            read = self.number.read(value, path, findings)
            if read is INVALID:
                return INVALID
            repair = Repair("Write a bound", (Rewrite(path, ("{ eq = ", path, " }")),))
            findings.add("CLN308", path, f"`{value}` is spelled `{{ eq = {value} }}`", repair=repair)
            return Bound(eq=read)
        record = bound_table(self.number).read(value, path, findings)
        limits = record.values
        if not value:
            findings.add("CLN305", path, f"`{label(path)}` must not be empty")
            return INVALID
        if len(limits) != len(value):
            return INVALID
        lower, upper = limits.get("gte", limits.get("gt")), limits.get("lte", limits.get("lt"))
        if lower is not None and upper is not None and lower > upper:
            low, high = (
                record.at("gte" if "gte" in record else "gt"),
                record.at("lte" if "lte" in record else "lt"),
            )
            swap = Repair("Swap the two", (Rewrite(low, (high,)), Rewrite(high, (low,))), safe=False)
            message = f"`{low[-1]}` {lower:g} is greater than `{high[-1]}` {upper:g}"
            findings.add("CLN319", low, message, repair=swap)
            return INVALID
        return Bound(**limits)


@cache
def bound_table(number: Kind) -> Table:
    return Table(
        "",
        (
            Key("eq", number),
            Key("gt", number),
            Key("gte", number, aliases=("min",)),
            Key("lt", number),
            Key("lte", number, aliases=("max",)),
        ),
    )


@dataclass(frozen=True, slots=True)
class ByName:
    """A table from names to values, nested names flattened; the value is ``{name: value}``.

    ``stop`` has the words that make a table a value (and not a nested name); ``check`` reads each name.
    """

    value: Kind
    name: Kind
    stop: tuple[str, ...] = ()

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The values by name."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        entries: dict[str, Any] = {}
        for name, item, where in flatten(value, path, self.stop):
            key = self.name.read(name, where, findings)
            read = self.value.read(item, where, findings)
            if key is not INVALID and read is not INVALID:
                entries[key] = read
        return entries


@dataclass(frozen=True, slots=True)
class EdgeOf:
    """Two names: ``["a", "b"]`` or a table with ``first`` and ``second`` (CLN308)."""

    first: str = "parent"
    second: str = "child"

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The pair of patterns."""
        if isinstance(value, dict):
            ends = ((*path, self.first), (*path, self.second))
            repair = Repair("Write an array", (Rewrite(path, ("[", ends[0], ", ", ends[1], "]")),))
            message = f"an edge is spelled `[{self.first}, {self.second}]`"
            findings.add("CLN308", path, message, repair=repair)
            names = [(value[key], (*path, key)) for key in (self.first, self.second) if key in value]
        elif isinstance(value, list):
            names = [(item, (*path, index)) for index, item in enumerate(value)]
        else:
            findings.wrong_type(path, f"array of two names or `{{{self.first}, {self.second}}}`", value)
            return INVALID
        named = [entry for entry in names if not (isinstance(entry[0], str) and not entry[0].strip())]
        if len(named) != 2 or len(names) != 2:  # noqa: PLR2004  # An edge has two ends.
            findings.add("CLN318", path, f"an edge needs two names, got {len(named)}")
            return INVALID
        pair = tuple(Pattern().read(item, where, findings) for item, where in named)
        return INVALID if INVALID in pair else pair


# ------------------------------------------------------------------------------------------ attributes


@dataclass(frozen=True, slots=True)
class Scalar:
    """An attribute's value: string, boolean, number, or an array of these."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        if isinstance(value, str | int | float):
            return value
        if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
            return tuple(value)
        findings.wrong_type(path, "string, boolean, number, array of these, or operators", value)
        return INVALID


OPERATOR_TABLE: Final = Table(
    "",
    (
        *(Key(name, Scalar()) for name in ("eq", "ne")),
        *(Key(name, Num()) for name in ("gt", "gte", "lt", "lte")),
        Key("in", ArrayOf(Scalar())),
        Key("glob", GLOB),
        Key("regex", REGEX),
        Key("exists", Flag()),
    ),
)


@dataclass(frozen=True, slots=True)
class AttributeChecks:
    """A table of attribute checks; with ``lines`` also ``["key=value", "key"]``."""

    lines: bool = False
    filled: bool = False

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The checks, in file order."""
        if self.filled and value in ({}, []):
            findings.add("CLN305", path, f"`{label(path)}` must not be empty")
            return INVALID
        if self.lines and isinstance(value, list):
            repair = _as_checks(value, path)
            findings.add("CLN308", path, f"`{label(path)}` is spelled as a table", repair=repair)
            texts = ArrayOf(Text(blank=False), expected="array of strings").read(value, path, findings)
            return tuple(_check_of_line(text) for text in texts)
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        return self.of_entries(value, path, findings)

    def of_entries(
        self, value: dict[str, Any], path: KeyPath, findings: Findings
    ) -> tuple[AttributeCheck, ...]:
        """The checks of a table's entries."""
        checks = []
        for name, item, where in flatten(value, path, OPERATORS):
            if len(where) > len(path) + 1:
                repair = Repair(f'Write `"{name}"`', (JoinKeys(where, len(where) - len(path)),))
                findings.add("CLN308", where, f'spelled `"{name}"`', part="key", repair=repair)
            if isinstance(item, dict) and item:
                check = _check_of_operators(name, item, where, findings)
            else:
                read = Scalar().read(item, where, findings)
                check = None if read is INVALID else AttributeCheck(key=name, eq=read)
            if check is not None:
                checks.append(check)
        return tuple(checks)


def _as_checks(lines: list[Any], path: KeyPath) -> Repair | None:
    """``["key=value", "key"]`` as the table it stands for."""
    if not all(isinstance(line, str) for line in lines):
        return None
    split = [line.partition("=") for line in lines]
    if len({key for key, _, _ in split}) != len(split):
        return None
    entries = [
        f"{basic_string(key)} = {basic_string(value) if separator else '{ exists = true }'}"
        for key, separator, value in split
    ]
    return Repair("Write a table", (Rewrite(path, (f"{{ {', '.join(entries)} }}",)),))


def _check_of_line(text: str) -> AttributeCheck:
    key, separator, value = text.partition("=")
    return AttributeCheck(key=key, eq=value) if separator else AttributeCheck(key=key, exists=True)


def _check_of_operators(
    name: str, table: dict[str, Any], path: KeyPath, findings: Findings
) -> AttributeCheck | None:
    record = OPERATOR_TABLE.read(table, path, findings)
    operators = dict(record.values)
    if len(operators) != len(table):
        return None
    if "in" in operators:
        operators["is_in"] = operators.pop("in")
    return AttributeCheck(key=name, **operators)


@cache
def all_any_table(every: Kind, some: Kind) -> Table:
    return Table("", (Key("all", every), Key("any", some), Key("description", Free())))


def _all_and_any(
    value: dict[str, Any], path: KeyPath, findings: Findings, every: Kind, some: Kind
) -> tuple[Any, Any]:
    record = all_any_table(every, some).read(value, path, findings)
    return record.get("all", ()), record.get("any", ())


@dataclass(frozen=True, slots=True)
class Attributes:
    """``attrs``: ``{all, any}``; a table with neither is ``all`` (CLN308)."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The pair of (checks that must all hold, checks of which one must hold)."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        if "all" in value or "any" in value:
            return _all_and_any(
                value, path, findings, AttributeChecks(), AttributeChecks(lines=True, filled=True)
            )
        repair = Repair("Rename to `attrs.all`", (Rename(path, "attrs.all"),))
        findings.add("CLN308", path, f"`{label(path)}` is spelled `attrs.all`", part="key", repair=repair)
        return AttributeChecks().of_entries(value, path, findings), ()


@dataclass(frozen=True, slots=True)
class EventChecks:
    """``events``: ``{all, any}`` arrays of names; an array is ``all`` (CLN308)."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The pair of (names that must all be there, names of which one must be there)."""
        names = ArrayOf(Pattern(), expected="array of strings")
        if isinstance(value, list):
            repair = Repair("Rename to `events.all`", (Rename(path, "events.all"),))
            findings.add(
                "CLN308", path, f"`{label(path)}` is spelled `events.all`", part="key", repair=repair
            )
            return names.read(value, path, findings), ()
        if not isinstance(value, dict):
            findings.wrong_type(path, "table or array of strings", value)
            return INVALID
        some = ArrayOf(Pattern(), expected="array of strings", filled=True)
        return _all_and_any(value, path, findings, names, some)


@dataclass(frozen=True, slots=True)
class MustMatch:
    """``resource_attrs``: ``{must_match = {…}}``; other keys are entries of ``must_match`` (CLN308)."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The checks."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        nested = value.get("must_match", {})
        flat = {name: item for name, item in value.items() if name != "must_match"}
        if flat:
            better = f"{label(path).removesuffix('_must_match')}.must_match"
            repair = Repair(f"Rename to `{better}`", (Rename(path, better),)) if not nested else None
            message = f"`{label(path)}` is spelled `{label(path)}.must_match`"
            findings.add("CLN308", path, message, part="key", repair=repair)
        inner = AttributeChecks().read(nested, (*path, "must_match"), findings)
        if inner is INVALID:
            return INVALID
        return (*inner, *AttributeChecks().of_entries(flat, path, findings))


_GLOBS: Final = ArrayOf(GLOB, expected="array of strings")
FORBID_TABLE: Final = Table("span_attrs", (Key("forbid_keys", _GLOBS),))


@dataclass(frozen=True, slots=True)
class ForbiddenKeys:
    """``span_attrs``: ``{forbid_keys = […]}`` or the array itself (CLN308)."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The globs."""
        if isinstance(value, list):
            return _GLOBS.read(value, path, findings)
        record = FORBID_TABLE.read(value, path, findings)
        return INVALID if record is INVALID else record.get("forbid_keys", ())


# ------------------------------------------------------------------------------------------ assertions


@dataclass(frozen=True, slots=True)
class Assertions:
    """``assertions`` (older form): a table, or an array of tables; empty is CLN317."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The entries as (key, value, path)."""
        if isinstance(value, list):
            findings.add("CLN308", path, "`assertions` is spelled as a table", part="key")
            tables = [(item, (*path, index)) for index, item in enumerate(value)]
        else:
            tables = [(value, path)]
        entries: list[tuple[str, Any, KeyPath]] = []
        for table, where in tables:
            if not isinstance(table, dict):
                findings.wrong_type(where, "table", table)
                continue
            entries.extend((name, item, (*where, name)) for name, item in table.items())
        if value in ({}, []):
            repair = Repair("Take it out", (Delete(path),))
            findings.add("CLN317", path, f"`[{label(path)}]` is empty", part="header", repair=repair)
        return tuple(entry for entry in entries if self._is_valid(entry, findings))

    def _is_valid(self, entry: tuple[str, Any, KeyPath], findings: Findings) -> bool:
        kind = _ASSERTION_KINDS.get(entry[0])
        return kind is None or kind.read(entry[1], entry[2], findings) is not INVALID


_ASSERTION_KINDS: Final[dict[str, Kind]] = {
    "container_should_have_executed_commands": Whole(minimum=0),
    "execution_should_be_hermetic": Flag(),
}
