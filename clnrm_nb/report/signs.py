"""How a state is written: word first, sign beside it, colour last and never alone (``notebook.md`` 10).

Two sets of signs: narrow Unicode symbols, and ASCII for terminals and logs that want it (``--no-emoji``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASCII", "STYLES", "UNICODE", "Signs", "backend_words", "in_ascii"]

_MICROSECONDS: Final = re.compile(r"(?<=[0-9] )µs\b")


@dataclass(frozen=True, slots=True)
class Signs:
    """One set of signs."""

    status: Mapping[str, str]
    branch: str
    last: str
    through: str
    blank: str
    dot: str
    ellipsis: str
    bar: str
    quote: str


UNICODE: Final = Signs(
    status={
        "passed": "✓",
        "failed": "✗",
        "error": "‼",
        "incomplete": "?",
        "cached": "=",
        "flaky": "~",
        "skipped": "-",
        "interrupted": "^",
        "not-evaluated": "?",
        "warning": "!",
        "info": "i",
        "ok": "✓",
        "ok-with-warnings": "!",
        "same": "✓",
        "changed": "✏️",
        "added": "➕",
        "missing": "❌",
        "moved": "↦",
        "renamed": "✎",
        "rejected": "✗",
        "unused": "!",
    },
    branch="├─ ",
    last="└─ ",
    through="│  ",
    blank="   ",
    dot="·",
    ellipsis="…",
    bar="━",
    quote="│",
)
ASCII: Final = Signs(
    status={
        **UNICODE.status,
        "passed": "+",
        "ok": "+",
        "failed": "x",
        "error": "!",
        "same": "=",
        "changed": "~",
        "added": "+",
        "missing": "-",
        "moved": ">",
        "renamed": "=>",
        "rejected": "x",
    },
    branch="|- ",
    last="`- ",
    through="|  ",
    blank="   ",
    dot="-",
    ellipsis="...",
    bar="=",
    quote="|",
)

STYLES: Final[Mapping[str, str]] = {
    "passed": "green",
    "ok": "green",
    "failed": "bold red",
    "error": "bold red",
    "incomplete": "yellow",
    "not-evaluated": "yellow",
    "flaky": "yellow",
    "warning": "yellow",
    "ok-with-warnings": "yellow",
    "cached": "cyan",
    "info": "cyan",
    "skipped": "bright_black",
    "interrupted": "magenta",
    "same": "bright_black",
    "changed": "yellow",
    "renamed": "yellow",
    "added": "blue",
    "missing": "red",
    "moved": "magenta",
    "rejected": "bold red",
    "unused": "yellow",
    "dim": "bright_black",
    "bold": "bold",
    "name": "bold",
}
"""Terminal style of each word."""


def in_ascii(text: str) -> str:
    """Typographic signs of our own sentences in ASCII; what strangers wrote stays."""
    return _MICROSECONDS.sub("us", text.replace("…", "...").replace("•••", "***"))


def backend_words(test: Mapping[str, Any]) -> str:
    """The backend of a test as it stands beside its status: ``process, not hermetic``.

    Of a test that could not be read, nothing: no backend ever saw it.
    """
    if test.get("status") == "error" and not (test.get("scenarios") or test.get("hash")):
        return ""
    words = [str(test.get("backend") or "unknown")]
    if test.get("replayed"):
        words.append("replayed")
    if not test.get("hermetic", True):
        words.append("not hermetic")
    return ", ".join(words)
