"""The settings model as a JSON Schema of ``.clnrm/config.toml`` and ``cleanroom.toml``, for editors.

Made from :class:`~clnrm_nb.config.keys.Settings`, which has every key, type, limit and default; only the
sentences come from :mod:`~clnrm_nb.config.descriptions`.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from clnrm_nb.config.descriptions import DESCRIPTIONS
from clnrm_nb.config.duration import DURATION_PATTERN, parse_duration
from clnrm_nb.config.keys import WITHOUT_EFFECT, Settings

__all__ = ["config_schema"]

Schema = dict[str, Any]

_DURATION: Final[Schema] = {
    "anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}]
}


class _WithDurations(GenerateJsonSchema):
    """Says what a duration looks like in a file, which the model reads as seconds."""

    def function_before_schema(self, schema: Any) -> Schema:
        if schema["function"]["function"] is parse_duration:
            return dict(_DURATION)
        return super().function_before_schema(schema)


def config_schema() -> Schema:
    """The JSON Schema of a configuration file.

    Returns
    -------
    dict
        Draft 2020-12. Older names, and keys of other people's files that have no effect here, carry
        ``deprecated``.

    Examples
    --------
    >>> config_schema()["properties"]["watch"]["properties"]["debounce_ms"]["default"]
    300
    """
    made = TypeAdapter(Settings).json_schema(by_alias=True, schema_generator=_WithDurations)
    definitions = made.pop("$defs")
    whole = _section(made, "", definitions)
    for key in sorted(WITHOUT_EFFECT):
        _add_without_effect(whole, key)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **whole,
        "title": "clnrm configuration",
        "description": "Configuration of clnrm_nb: .clnrm/config.toml, cleanroom.toml.",
    }


def _section(schema: Schema, prefix: str, definitions: Schema) -> Schema:
    """A section of the model, with the sections in it written out."""
    properties = {}
    for name, found in schema["properties"].items():
        key = f"{prefix}{name}"
        reference = found.get("$ref")
        if reference is not None:
            properties[name] = _section(definitions[reference.rpartition("/")[2]], f"{key}.", definitions)
        else:
            properties[name] = _key(found, key)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _key(found: Schema, key: str) -> Schema:
    """A key with its sentence; what is not set cannot be written in TOML."""
    schema = {word: value for word, value in found.items() if word not in ("title", "default", "description")}
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if choices:
        schema = {**schema, "anyOf": choices} if len(choices) > 1 else dict(choices[0])
    if key == "observability.log_level":
        schema["enum"] = [*schema["enum"], "warn"]
    told = DESCRIPTIONS[key]
    return {
        **schema,
        "description": told,
        **({"deprecated": True} if told.startswith("Older name") else {}),
        **({"default": found["default"]} if found.get("default") is not None else {}),
    }


def _add_without_effect(whole: Schema, key: str) -> None:
    *sections, name = key.split(".")
    place = whole
    for section in sections:
        place = place["properties"][section]
    note = {"additionalProperties": True, "description": "Known, without effect.", "deprecated": True}
    place["properties"].setdefault(name, note)
