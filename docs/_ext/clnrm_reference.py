"""The reference, made while the documentation is built: commands, keys and codes, each from its one source.

A page says where: ``<!-- generated: commands -->``, ``configuration`` or ``codes``. Nothing is written to
disk, so that nothing can be stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from clnrm_nb.codes import CODES
from clnrm_nb.commands import COMMANDS, SETS, Command, Flag
from clnrm_nb.config.descriptions import DESCRIPTIONS
from clnrm_nb.config.keys import Settings
from clnrm_nb.explain import page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

    from clnrm_nb.explain import Example

__all__ = ["codes", "commands", "configuration", "setup"]

_SETS = {
    "G": "General flags, of every command",
    "T": "Templates",
    "S": "Selection",
    "R": "Running",
    "C": "Comparison",
    "L": "Reading traces",
    "N": "In a notebook, of every command",
}
_USERS_ONLY = (
    '`security.allow` and `executor.backend = "process"` count only in the user\'s own `cleanroom.toml` and '
    "on the command line: a project's files must not reach into the machine."
)


_GROUPS = {
    "0": "Files",
    "1": "Templates",
    "2": "TOML",
    "3": "Keys and values",
    "4": "What belongs together",
    "5": "Style: only in `clnrm lint`",
    "6": "Running",
    "7": "Accepted traces",
    "8": "Configuration and state",
    "9": "clnrm_nb itself",
}
"""Headings of the codes by their first digit."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    del app, docname
    for name, make in (("commands", commands), ("configuration", configuration), ("codes", codes)):
        marker = f"<!-- generated: {name} -->"
        if marker in source[0]:
            source[0] = source[0].replace(marker, make())


def commands() -> str:
    """Every command and flag, as Markdown."""
    parts = [_command(command) for command in COMMANDS]
    parts.append("## Shared flags\n")
    parts += [f"### {_SETS.get(letter, letter)}\n\n{_flags(flags)}" for letter, flags in SETS.items()]
    return "\n".join(parts)


def _command(command: Command) -> str:
    prefix = "%clnrm" if command.notebook_only else "clnrm"
    words = command.argument
    metavar = "" if words is None else f" {words.metavar}{'…' if words.many else ''}"
    lines = [f"## {command.name}\n", f"`{prefix} {command.name}{metavar}`\n", f"{command.help}\n"]
    if command.notebook_only:
        lines.append("Only in a notebook.\n")
    if command.aliases:
        lines.append(f"Also: {', '.join(f'`{alias}`' for alias in command.aliases)}.\n")
    if words is not None and words.default is not None:
        lines.append(f"Without {words.metavar}: `{words.default}`.\n")
    if command.flags:
        lines.append(_flags(command.flags))
    shared = [_SETS.get(letter, letter).lower() for letter in command.sets]
    if shared:
        lines.append(f"Shared flags: {', '.join(shared)}.\n")
    lines.append(f"Formats: {', '.join(command.formats)}.\n")
    return "\n".join(lines)


def _flags(flags: Sequence[Flag]) -> str:
    rows = [(_spelling(flag), flag.help, f"`{flag.key}`" if flag.key else "") for flag in flags]
    return _table(("flag", "meaning", "key"), rows)


def _spelling(flag: Flag) -> str:
    dashes = [f"-{flag.short}"] if flag.short else []
    if flag.name != flag.short:
        dashes += [f"--{name}" for name in (flag.name, *flag.aliases)]
    value = "\\|".join(flag.choices) if flag.choices else flag.metavar or ""
    return ", ".join(f"`{word}`" for word in dashes) + (f" {value}" if value else "")


def configuration() -> str:
    """Every key with its type and default, as Markdown."""
    flags: dict[str, list[str]] = {}
    groups = [*SETS.values(), *(command.flags for command in COMMANDS)]
    for flag in (flag for group in groups for flag in group):
        if flag.key and f"--{flag.name}" not in flags.setdefault(flag.key, []):
            flags[flag.key].append(f"--{flag.name}")
    parts = [_USERS_ONLY + "\n"]
    for table, keys in _tables().items():
        rows = [
            (
                f"`{key}`",
                DESCRIPTIONS[f"{table}.{key}"],
                kind,
                default,
                ", ".join(f"`{flag}`" for flag in flags.get(f"{table}.{key}", ())),
            )
            for key, kind, default in keys
        ]
        parts.append(f"## [{table}]\n\n{_table(('key', 'meaning', 'type', 'default', 'flag'), rows)}")
    return "\n".join(parts)


def _tables() -> dict[str, list[tuple[str, str, str]]]:
    tables: dict[str, list[tuple[str, str, str]]] = {}
    pending = [(name, field.annotation, field.default) for name, field in Settings.model_fields.items()]
    while pending:
        name, model, section = pending.pop(0)
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        shown = section.model_dump(mode="json", by_alias=True)
        keys = tables[name] = []
        inner = []
        for attribute, field in model.model_fields.items():
            key = field.alias or attribute
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                inner.append((f"{name}.{key}", field.annotation, getattr(section, attribute)))
            else:
                is_duration = attribute.endswith("_s") and key != attribute
                kind = "duration" if is_duration else _type(field.annotation)
                keys.append((key, kind, _default(shown[key], is_duration=is_duration)))
        pending = inner + pending
    return tables


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " \\| ".join(f"`{word}`" for word in get_args(annotation))
    words = {bool: "boolean", int: "whole number", float: "number", str: "text"}
    if annotation in words:
        return words[annotation]
    inner = [word for part in get_args(annotation) if (word := _type(part)) != "nothing"]
    if get_origin(annotation) is tuple:
        return "array of text"
    if get_origin(annotation) is dict:
        return "table"
    return " or ".join(dict.fromkeys(inner)) if inner else "nothing"


def _default(value: Any, *, is_duration: bool) -> str:
    from clnrm_nb.api.initial import _toml

    if value is None:
        return "not set"
    return f'`"{value:g}s"`' if is_duration else f"`{_toml(value)}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(header)} |"
        yield f"|{'---|' * len(header)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"


def codes() -> str:
    """Every code with its page, as Markdown."""
    parts = []
    group = ""
    for code in CODES:
        if code[3] != group:
            group = code[3]
            parts.append(f"## {_GROUPS[group]}\n")
        parts.append(_code(code))
    return "\n".join(parts)


def _code(code: str) -> str:
    shown = page(code)
    lines = [f"({code.lower()})=\n### {code}: {shown.title}\n", f"*{shown.severity}*\n", f"{shown.meaning}\n"]
    lines += [f"**Why it matters.** {shown.why}\n", f"**How to repair it.** {shown.repair}\n"]
    lines += ["Wrong:\n", _example(shown.wrong), "Right:\n", _example(shown.right)]
    return "\n".join(lines)


def _example(example: Example) -> str:
    parts = []
    for block in example.blocks:
        if block.name and block.name != "example.clnrm.toml":
            parts.append(f"`{block.name}`\n")
        parts.append(f"```{block.language}\n{block.text}```\n")
    return "\n".join(parts)
