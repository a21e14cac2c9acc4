"""Variables in compose files (``${NAME:-default}``) as template expressions.

The grammar is that of the Compose specification, "Interpolation": ``$NAME``, ``${NAME}``, ``${NAME-x}`` and
``${NAME:-x}`` (default), ``${NAME?x}`` and ``${NAME:?x}`` (required), ``${NAME+x}`` and ``${NAME:+x}``
(replacement), defaults that hold variables themselves, ``$$`` for a dollar sign. The two forms of each pair
differ for a variable that is set to nothing; templates have one, which keeps what is set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from clnrm_nb.scaffold.paper import Expression

__all__ = ["Reference", "interpolated", "parts_of", "references"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR: Final = re.compile(r":?[-?+]")
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """One variable: its name, the operator without its colon (``-``, ``?``, ``+`` or none), the operand."""

    name: str
    operator: str = ""
    operand: str = ""


def parts_of(text: str) -> list[str | Reference]:
    """Plain text and variables, in order; what is no variable by the grammar stays text."""
    parts: list[str | Reference] = []
    plain: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "$":
            plain.append(text[at])
            at += 1
            continue
        if text.startswith("$$", at):
            plain.append("$")
            at += 2
            continue
        found = _reference(text, at + 1)
        if found is None:
            plain.append("$")
            at += 1
            continue
        if plain:
            parts.append("".join(plain))
            plain = []
        reference, at = found
        parts.append(reference)
    return [*parts, "".join(plain)] if plain else parts


def _reference(text: str, at: int) -> tuple[Reference, int] | None:
    """The variable whose dollar sign stands before `at`, and where the text goes on."""
    is_braced = text.startswith("{", at)
    name = _NAME.match(text, at + is_braced)
    if name is None:
        return None
    if not is_braced:
        return Reference(name[0]), name.end()
    operator = _OPERATOR.match(text, name.end())
    start = operator.end() if operator else name.end()
    end = _closing(text, start)
    if end is None or (operator is None and end != start):
        return None
    word = operator[0].lstrip(":") if operator else ""
    return Reference(name[0], word, text[start:end]), end + 1


def _closing(text: str, at: int) -> int | None:
    """Where the brace that is open at `at` is closed."""
    depth = 1
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
        at += 1
    return None


def references(text: str) -> list[str]:
    """Names of the variables that `text` takes from outside, defaults not looked into."""
    return [part.name for part in parts_of(text) if isinstance(part, Reference)]


def interpolated(text: str) -> str | Expression:
    """`text` as a value: itself where it holds no variable, else an expression that gives it."""
    parts = parts_of(text)
    if not any(isinstance(part, Reference) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return Expression(_joined(parts, 0))


def _joined(parts: list[str | Reference], depth: int) -> str:
    return " ~ ".join(_expression(part, depth) for part in parts) or '""'


def _expression(part: str | Reference, depth: int) -> str:
    if isinstance(part, str):
        return _quoted(part)
    operand = _operand(part.operand, depth)
    if part.operator == "+":
        return f'({operand} if env(name="{part.name}") else "")'
    # A required variable is required of the run, not of whoever only looks at the file.
    return f'env(name="{part.name}", default={operand if part.operator == "-" else _quoted("")})'


def _operand(text: str, depth: int) -> str:
    parts: list[str | Reference] = parts_of(text) if depth < _DEEPEST else [text]
    joined = _joined(parts, depth + 1)
    return f"({joined})" if len(parts) > 1 else joined


def _quoted(text: str) -> str:
    """A string of the template language, which knows no escapes: each quote in quotes of the other kind."""
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    pieces = (f'"{piece}"' for piece in text.split('"'))
    return "(" + " ~ '\"' ~ ".join(pieces) + ")"
