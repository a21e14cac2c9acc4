"""What the schema of the scenario file needs beyond the declarations: names, patterns, rules across keys.

The declarations of :mod:`~clnrm_nb.scenario.tables` say what a key is; that a service needs an image or a
preset is known to the code that builds one, and how a port is spelled to the function that reads it. Here
both are said once more, in the words of JSON Schema.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.config.duration import DURATION_PATTERN
from clnrm_nb.scenario import expect_tables, kinds, model, records, services, spelling, tables, tolerance
from clnrm_nb.scenario.expect_kinds import OPERATOR_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    from clnrm_nb.scenario.records import Table

__all__ = [
    "EXTENSIONS", "MODELS", "NAME", "NAMES", "OPEN", "REGEX", "RULES", "SPELLED", "TEXT", "TOLERANCE",
    "Schema", "any_of", "filled", "needs",
]  # fmt: skip

Schema = dict[str, Any]

NOT_BLANK: Final = r"\S"

NAMES: Final = {
    tables.FILE: "",
    tables.SERVICE: "services.NAME",
    tables.LIMITS: "services.NAME.limits",
    tables.VOLUME: "services.NAME.volumes",
    tables.SUB_RUN: "scenario.run",
    OPERATOR_TABLE: "operators",
}
"""Tables whose title does not tell them apart."""

MODELS: Final[dict[Table, type[BaseModel]]] = {
    tables.META: model.Metadata,
    tables.METADATA: model.Metadata,
    tables.SERVICE: model.Service,
    tables.VOLUME: model.Volume,
    tables.HEALTH_CHECK: model.HealthCheck,
    tables.NETWORK: model.NetworkPolicy,
    tables.STEP: model.Step,
    tables.SCENARIO: model.Scenario,
    tables.OTEL: model.Otel,
    tables.CLEANUP: model.Cleanup,
}
"""Where defaults come from: fields of the same name and one plain value."""


def any_of(*schemas: Schema) -> Schema:
    """One of `schemas` holds."""
    return {"anyOf": list(schemas)} if len(schemas) > 1 else schemas[0]


def needs(*names: str) -> Schema:
    """One of `names` is there."""
    return any_of(*({"required": [name]} for name in names))


def filled(name: str) -> Schema:
    """`name` is there and no empty array."""
    return {"required": [name], "properties": {name: {"minItems": 1}}}


def _is_word(key: str, words: Iterable[str], *others: str) -> Schema:
    """`key` is one of `words`, and `others` are there."""
    return {"required": [key, *others], "properties": {key: {"enum": list(words)}}}


def _beside(key: str, *others: str) -> Schema:
    """Where `key` is, one of `others` is too."""
    return any_of({"not": {"required": [key]}}, needs(*others))


def _not_both(values: dict[str, Schema]) -> Schema:
    """Not all of these keys have these values."""
    return {"not": {"required": [*values], "properties": values}}


_YES: Final[Schema] = {"const": True}
_OUTCOMES: Final = ("expect_failure", "expect_success", "expect_partial_failure")

RULES: Final[dict[Table, list[Schema]]] = {
    tables.FILE: [
        needs("meta", "test"),
        any_of(filled("steps"), filled("scenario")),
        {
            "if": {"not": {"required": ["test"]}},
            "then": {"properties": {"meta": {"required": ["name", "version"]}}},
        },
    ],
    tables.SERVICE: [
        any_of(
            needs("image"),
            *(_is_word(key, services.PRESETS) for key in ("plugin", "type")),
            *(_is_word(key, [services.NETWORK_SERVICE], "endpoint") for key in ("plugin", "type")),
        ),
    ],
    tables.VOLUME: [{"properties": {"container_path": {"pattern": "^/"}}}],
    tables.SCENARIO: [
        any_of(needs("run"), filled("steps")),
        *(_not_both({one: _YES, other: _YES}) for one, other in combinations(_OUTCOMES, 2)),
    ],
    expect_tables.WINDOW: [
        _beside("contains", "outer"),
        _beside("start_span", "end_span"),
        _beside("end_span", "start_span"),
        needs("contains", "min_duration_ms", "max_duration_ms", "min_span_count", "max_span_count"),
    ],
    expect_tables.STATUS: [
        _not_both({"all": {}, "all_ok": _YES}),
        _not_both({"none": {}, "errors_allowed": {"const": False}}),
    ],
    tolerance.RULE: [
        {"required": ["id", "reason"]},
        {"oneOf": [needs(word) for word in tolerance.RULE_WORDS]},
    ],
}
"""What :mod:`~clnrm_nb.scenario.build` and its neighbours ask of several keys of a table together."""

TOLERANCE: Final = records.TablesOf(tolerance.RULE)
"""The file's own declaration leaves the shape of tolerance rules to :mod:`~clnrm_nb.scenario.tolerance`."""

OPEN: Final[Schema] = {"additionalProperties": True}
"""Anything. Said outright, because some tools take silence for a closed table."""

EXTENSIONS: Final[Schema] = {"^x[-_]": OPEN}

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "pattern": NOT_BLANK}
REGEX: Final[Schema] = {"type": "string"}
"""Not ``format: regex``: the regular expressions are Python's, which the tools do not know."""

SPELLED: Final[dict[Any, list[Schema]]] = {
    kinds.DURATION.parse: [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}],
    # Tools differ on whether TOML's own date-times are strings, so both forms stand here.
    kinds.INSTANT.parse: [
        {"type": "string", "pattern": f"^{spelling.INSTANT_PATTERN}$"},
        {"type": "string", "format": "date-time"},
    ],
    kinds.REGEX.parse: [REGEX],
    spelling.check_glob: [TEXT],
    spelling.split_command: [NAME],
    spelling.parse_environment_line: [{"type": "string", "pattern": "^[^=]+="}],
    spelling.parse_image: [NAME],
    spelling.parse_port: [
        {"type": "integer", "minimum": 1, "maximum": spelling.PORT_MAX},
        {"type": "string", "pattern": r"[0-9]+(/[A-Za-z]+)?\s*$"},
    ],
    spelling.parse_volume_text: [{"type": "string", "pattern": r"^[\s\S]+:/[^:]*(:(ro|rw))?$"}],
    spelling.parse_memory_mb: [
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[kmgtKMGT]?([iI]?[bB])?\s*$"},
        {"type": "integer", "minimum": 0},
    ],
    spelling.parse_cpu_millicores: [TEXT, {"type": "number", "exclusiveMinimum": 0}],
    spelling.parse_artifact: [
        {"type": "string", "pattern": r"^(logs:(stdout|stderr|all)|(spans|files):[\s\S]*\S[\s\S]*)$"}
    ],
}
"""What each function of :mod:`~clnrm_nb.scenario.spelling` reads, as far as a pattern can say it."""
