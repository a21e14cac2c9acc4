"""The declarations of the scenario file as a JSON Schema, for editors and other programs.

One declaration, two readers: :meth:`~clnrm_nb.scenario.records.Table.read` judges a file by it, and this
module writes down what it says. So the schema has no list of keys of its own. It takes every file that has
neither errors nor unknown keys; the reverse cannot hold, because a schema does not see names that must exist,
cycles, or what two tables mean together.

A schema describes TOML, so a template has to be rendered before a tool can use it.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from clnrm_nb.scenario import expect_kinds, kinds, records, spelling, tables
from clnrm_nb.scenario.descriptions import describe
from clnrm_nb.scenario.expect_kinds import OPERATOR_TABLE, OPERATORS, bound_table
from clnrm_nb.scenario.schema_rules import (
    EXTENSIONS,
    MODELS,
    NAME,
    NAMES,
    OPEN,
    REGEX,
    RULES,
    SPELLED,
    TEXT,
    TOLERANCE,
    any_of,
    needs,
)
from clnrm_nb.scenario.services import SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.scenario.kinds import Kind
    from clnrm_nb.scenario.records import Ignored, Key, Table
    from clnrm_nb.scenario.schema_rules import Schema

__all__ = ["scenario_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> Schema:
    """The JSON Schema of a rendered scenario file.

    Returns
    -------
    dict
        Draft 2020-12. Other spellings and keys without effect carry ``deprecated``; keys beginning ``x-`` or
        ``x_`` are free in every table.

    Examples
    --------
    >>> scenario_schema()["properties"]["scenario"]["type"]
    'array'
    """
    exporter = _Exporter()
    file = exporter.table(tables.FILE)
    return {
        "$schema": DIALECT,
        "title": "clnrm scenario file",
        "description": "A scenario file (*.clnrm.toml), as it is after rendering.",
        **file,
        "$defs": dict(sorted(exporter.definitions.items())),
    }


class _Exporter:
    """Schemas of kinds and tables; a table with a name is written once and referred to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def _reference(self, name: str, table: Table) -> Schema:
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.table(table)
        return {"$ref": f"#/$defs/{name}"}

    def _shared(self, name: str, schema: Schema) -> Schema:
        self.definitions.setdefault(name, schema)
        return {"$ref": f"#/$defs/{name}"}

    def table_of(self, table: Table) -> Schema:
        """The schema of a table, by reference where it has a name."""
        name = NAMES.get(table, table.title)
        return self._reference(name, table) if name else self.table(table)

    def table(self, table: Table, name: str | None = None) -> Schema:
        """The schema of a table, written out; `name` is what its keys are described under."""
        name = NAMES.get(table, table.title) if name is None else name
        properties: Schema = {}
        patterns: Schema = dict(EXTENSIONS)
        rules = [*RULES.get(table, ())]
        for key in table.keys:
            properties |= self._key(name, table, key)
            spellings = (key.name, *key.aliases)
            rules += _exclusive(spellings)
            if key.required and key.aliases:
                rules.append(needs(*spellings))
        for group in table.exclusive:
            rules += _exclusive(group)
        for ignored in table.ignored:
            _add_ignored(ignored, properties, patterns)
        required = [key.name for key in table.keys if key.required and not key.aliases]
        return {
            "type": "object",
            "properties": properties,
            "patternProperties": patterns,
            "additionalProperties": table.is_open,
            **({"required": required} if required else {}),
            **({"allOf": rules} if rules else {}),
        }

    def _key(self, table_name: str, table: Table, key: Key) -> Schema:
        """The key and its aliases as properties."""
        is_rules = table is tables.FILE and key.name == "tolerance"
        schema = self.kind(TOLERANCE if is_rules else key.kind)
        if key.older is not None:
            said = f"Older spelling of `{key.older}`."
            return {key.name: {**schema, "description": said, "deprecated": True}}
        description = describe(table_name, key.name)
        told = {"description": description} if description else {}
        others = {
            alias: {**schema, "description": f"Another spelling of `{key.name}`.", "deprecated": True}
            for alias in key.aliases
        }
        return {key.name: {**schema, **told, **_default(table, key)}, **others}

    def kind(self, kind: Kind) -> Schema:  # noqa: C901, PLR0911, PLR0912  # One case a kind: that is the whole job.
        """The schema of one kind of value."""
        match kind:
            case kinds.Free():
                return OPEN
            case kinds.FreeTable():
                return {"type": "object", **OPEN}
            case kinds.Text():
                return TEXT if kind.blank else NAME
            case kinds.Flag():
                return {"type": "boolean"}
            case kinds.Whole():
                return {"type": "integer", **_limits(kind)}
            case kinds.Num():
                return {"type": "number", **_limits(kind)}
            case kinds.Word():
                return _word(kind)
            case kinds.Spelled():
                return any_of(*SPELLED[kind.parse])
            case kinds.Pattern():
                return self._shared("name", any_of(NAME, _matcher("exact", NAME), _matcher("regex", REGEX)))
            case kinds.Command():
                return any_of(NAME, {"type": "array", "items": TEXT, "minItems": 1})
            case kinds.ArrayOf():
                items = self.kind(kind.item)
                array = {"type": "array", "items": items, **({"minItems": 1} if kind.filled else {})}
                return any_of(array, items) if kind.single else array
            case kinds.Choice():
                return any_of(*(self.kind(one) for _, one in kind.by_type))
            case kinds.TextMap():
                return self._nested("texts", TEXT)
            case kinds.Environment():
                lines = {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}}
                values = {"type": ["string", "number", "boolean"]}
                return any_of({"type": "object", "additionalProperties": values}, lines)
            case records.TableOf():
                return self.table_of(kind.table)
            case records.TablesOf():
                one = self.table_of(kind.table)
                array = {"type": "array", "items": one}
                return any_of(one, array) if kind.single else array
            case records.TablesByName():
                names = {"pattern": f"^{SERVICE_NAME.pattern}$"}
                return {
                    "type": "object",
                    "propertyNames": names,
                    "additionalProperties": self.table_of(kind.table),
                }
            case tables.VolumeOf():
                text = any_of(*SPELLED[spelling.parse_volume_text])
                return any_of(self.table_of(tables.VOLUME), text)
            case tables.Run():
                sub_runs = {"type": "array", "items": self.table_of(tables.SUB_RUN)}
                return any_of(self.kind(kinds.Command()), sub_runs)
            case _:
                return self._expectation(kind)

    def _expectation(self, kind: Kind) -> Schema:  # noqa: PLR0911  # As above.
        """The schema of a kind that only expectations have."""
        match kind:
            case expect_kinds.BoundOf():
                limits = {**self.table(bound_table(kind.number), "bound"), "minProperties": 1}
                title = "bound.whole" if isinstance(kind.number, kinds.Whole) else "bound.number"
                return self._shared(title, any_of(self.kind(kind.number), limits))
            case expect_kinds.ByName():
                return self._by_name(kind)
            case expect_kinds.EdgeOf():
                name = self.kind(kinds.Pattern())
                pair = {"type": "array", "items": name, "minItems": 2, "maxItems": 2}
                ends = {kind.first: name, kind.second: name}
                inline = {"type": "object", "properties": ends, "required": [*ends]}
                return self._shared("edge", any_of(pair, inline))
            case expect_kinds.Scalar():
                one = {"type": ["string", "number", "boolean"]}
                return any_of(one, {"type": "array", "items": one})
            case expect_kinds.AttributeChecks():
                entries = {**self._attributes(), **({"minProperties": 1} if kind.filled else {})}
                lines = {"type": "array", "items": NAME, **({"minItems": 1} if kind.filled else {})}
                return any_of(entries, lines) if kind.lines else entries
            case expect_kinds.Attributes():
                every, some = (
                    expect_kinds.AttributeChecks(),
                    expect_kinds.AttributeChecks(lines=True, filled=True),
                )
                return self._all_and_any(every, some, self._attributes())
            case expect_kinds.EventChecks():
                names = kinds.ArrayOf(kinds.Pattern())
                filled_names = kinds.ArrayOf(kinds.Pattern(), filled=True)
                return self._all_and_any(names, filled_names, self.kind(names))
            case expect_kinds.MustMatch():
                entries = self._attributes()
                return {**self.definitions["attributes"], "properties": {"must_match": entries}}
            case expect_kinds.ForbiddenKeys():
                forbidden = expect_kinds.FORBID_TABLE
                return any_of(self.table_of(forbidden), self.kind(forbidden.keys[0].kind))
            case expect_kinds.Assertions():
                notes = {"type": "object", **OPEN}
                array = {"type": "array", "items": notes, "minItems": 1}
                return any_of({**notes, "minProperties": 1}, array)
            case _:
                raise NotImplementedError(f"no schema for {kind!r}")

    def _by_name(self, kind: expect_kinds.ByName) -> Schema:
        """Values by name; of names that may have dots, nested tables are another spelling."""
        value = self.kind(kind.value)
        if isinstance(kind.name, kinds.Word):
            return {"type": "object", "propertyNames": _word(kind.name), "additionalProperties": value}
        name = "counts-by-name" if isinstance(kind.value, expect_kinds.BoundOf) else "statuses-by-name"
        return self._nested(name, value, kind.stop)

    def _attributes(self) -> Schema:
        value = any_of(
            self.kind(expect_kinds.Scalar()), {**self.table_of(OPERATOR_TABLE), "minProperties": 1}
        )
        return self._nested("attributes", value, OPERATORS)

    def _nested(self, name: str, value: Schema, stop: tuple[str, ...] = ()) -> Schema:
        """A table of `value`, or of such tables; one whose keys are all in `stop` is a value itself."""
        reference = {"$ref": f"#/$defs/{name}"}
        if name not in self.definitions:
            inner: Schema = {**reference, "minProperties": 1}
            if stop:
                inner["not"] = {"propertyNames": {"enum": list(stop)}}
            self.definitions[name] = {"type": "object", "additionalProperties": any_of(value, inner)}
        return reference

    def _all_and_any(self, every: Kind, some: Kind, bare: Schema) -> Schema:
        parts = {
            "all": {**self.kind(every), "description": "Every one of these."},
            "any": {**self.kind(some), "description": "At least one of these."},
            "description": {**OPEN, "description": "A note for readers."},
        }
        whole = {
            "type": "object",
            "properties": parts,
            "patternProperties": EXTENSIONS,
            "additionalProperties": False,
        }
        if "items" not in bare:
            bare = {**bare, "not": needs("all", "any")}
        return any_of({**whole, **needs("all", "any")} if "items" not in bare else whole, bare)


def _exclusive(names: Iterable[str]) -> list[Schema]:
    """At most one of `names`."""
    return [{"not": {"required": list(pair)}} for pair in combinations(names, 2)]


def _add_ignored(ignored: Ignored, properties: Schema, patterns: Schema) -> None:
    for name in ignored.names:
        note = {**OPEN, "description": "Known, without effect.", "deprecated": True}
        if "*" in name:
            patterns[f"^{name.replace('*', '.*')}$"] = note
        else:
            properties.setdefault(name, note)


def _default(table: Table, key: Key) -> Schema:
    fields = MODELS[table].model_fields if table in MODELS else {}
    value = fields[key.name].default if key.name in fields else None
    return {"default": value} if isinstance(value, bool | int | float | str) else {}


def _limits(kind: kinds.Whole | kinds.Num) -> Schema:
    limits = {"minimum": kind.minimum, "maximum": kind.maximum}
    return {word: limit for word, limit in limits.items() if limit is not None}


def _matcher(key: str, value: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {key: value},
        "required": [key],
        "additionalProperties": False,
    }


def _word(kind: kinds.Word) -> Schema:
    """The words as they are preferred; in other cases, or other words, through a pattern."""
    written = [kind.preferred(word) if kind.preferred else word for word in kind.words]
    known: list[Schema] = [{"enum": written}]
    if kind.any_case:
        letters = ("".join(_either_case(letter) for letter in word) for word in kind.words)
        known.append({"type": "string", "pattern": f"^({'|'.join(letters)})$"})
    if kind.also:
        known.append({"enum": [other for other, _ in kind.also], "deprecated": True})
    return any_of(*known)


def _either_case(letter: str) -> str:
    return f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else letter
