"""Writing a scenario file: TOML with comments, in which no text of a stranger is taken for a template.

Values are TOML literals; a :class:`Expression` is written as a template marker whose output is one. A brace
that would open a marker is written as its TOML escape, so that the file means what was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["IMAGE", "Expression", "Paper", "literal", "placeholder"]

IMAGE: Final = "todo.invalid/name-the-image:todo"
"""Where an image is not known. The domain is reserved (RFC 2606): nobody can ever answer under it."""

_DOTTED: Final = ("attrs.", "events.", "span_attrs.")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_OPENER: Final = re.compile(r"\{(?=[{%#])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WIDTH: Final = 100


class Expression(str):
    """The inside of a template marker that gives a text: ``env(name="TAG", default="1")``."""

    __slots__ = ()


def literal(value: Any) -> str:
    """A value as TOML: text, numbers, booleans, arrays and inline tables of them."""
    if isinstance(value, Expression):
        return f"{{{{ {value} | toml_encode }}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {literal(each)}" for key, each in value.items())
        # Two closing braces in a row end a marker only where one is open: never here.
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return _array([literal(each) for each in value])
    return _string(str(value))


def _string(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    quoted = json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007F")
    return _OPENER.sub(r"\\u007B", quoted)


def _array(items: list[str]) -> str:
    short = f"[{', '.join(items)}]"
    if len(short) <= _WIDTH:
        return short
    return "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def placeholder(task: str) -> list[str]:
    """A command that says what is to be written in its place, and fails: nothing unwritten is ever green."""
    return ["sh", "-c", f"echo 'TODO: {task}' >&2; exit 1"]


def _said(text: str) -> str:
    """`text` in a comment: one line, no marker."""
    return _OPENER.sub("{ ", _CONTROL.sub(" ", text))


class Paper:
    """A file that grows line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def comment(self, text: str = "") -> None:
        """One comment line; empty text gives an empty line."""
        self._lines.append(f"# {_said(text)}" if text else "")

    def table(self, *path: str, is_array: bool = False) -> None:
        """A table header, an empty line before it."""
        name = ".".join(_key(part) for part in path)
        if self._lines:
            self._lines.append("")
        self._lines.append(f"[[{name}]]" if is_array else f"[{name}]")

    def key(self, name: str, value: Any, comment: str = "") -> None:
        """``name = value``, dotted where `name` is (``attrs.all``); nothing for ``None``."""
        if value is None:
            return
        written = name if name.startswith(_DOTTED) else _key(name)
        self._lines.append(f"{written} = {literal(value)}")
        if comment:
            self._lines[-1] += f"  # {_said(comment)}"

    def text(self) -> str:
        """The file."""
        return "\n".join(self._lines) + "\n"
