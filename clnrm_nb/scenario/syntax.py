"""Repairs of single statements that are not TOML: the slips people make, tried one after the other.

Each candidate changes one thing; the first one that makes the statement TOML is the repair. Because the
statement meant nothing before and tomli is asked about the result, a wrong guess can only be a wrong word,
never a broken file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import tomli

from clnrm_nb.scenario.recovery import Refusal
from clnrm_nb.scenario.repairs import Repair, Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.scenario.positions import Span

__all__ = ["repair_of"]

_Candidate = tuple[str, int, int, str]
"""Title, start and end in the statement, new text."""

_KEY: Final = r"""(?:[A-Za-z0-9_.-]+|"[^"\n]*")"""
_PAIR: Final = re.compile(rf"({_KEY})([ \t]*=[ \t]*)([^#\n]*?)([ \t]*(?:#[^\n]*)?)", re.DOTALL)
_NO_SIGN: Final = re.compile(rf"({_KEY})([ \t]*(?::=?|=>|[=][ \t]*=+|[ \t])[ \t]*)(?=[\"'\[{{0-9tf-])")
_BAD_ESCAPE: Final = re.compile(r"\\(?![btnfr\"\\uUex\n])")
_SMART: Final = re.compile("[\u201c\u201d\u201e\u00ab\u00bb]")
_BRACKETS: Final = {"[": "]", "{": "}"}
_WORDS: Final = {
    "true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false",
}  # fmt: skip
_STRAY: Final = "=;,:"
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]')


def repair_of(text: str, refusal: Refusal) -> Repair | None:
    """What makes the refused statement TOML, if one of the usual slips explains it."""
    start, end = refusal.statement
    statement = text[start:end]
    for title, begin, stop, new in _candidates(statement, refusal.at - start):
        if _is_toml(statement[:begin] + new + statement[stop:]):
            span: Span = (start + begin, start + stop)
            return Repair(title, (Splice(span, new),))
    return None


def _is_toml(statement: str) -> bool:
    try:
        tomli.loads(statement)
    except (ValueError, RecursionError):
        return False
    return True


def _candidates(statement: str, at: int) -> Iterator[_Candidate]:
    size = len(statement)
    if statement.startswith("["):
        yield from _headers(statement)
        return
    yield from _missing_sign(statement)
    if _SMART.search(statement):
        yield "Write straight quotes", 0, size, _SMART.sub('"', statement)
    yield from _open_ends(statement)
    if 0 < at < size:
        behind = len(statement[:at].rstrip())
        yield "Add the missing comma", behind, behind, ","
        if statement[at] in _STRAY:
            yield f"Remove `{statement[at]}`", at, at + 1, ""
    trimmed = statement.rstrip(";, \t")
    if trimmed != statement:
        yield "Remove what stands behind the value", len(trimmed), size, ""
    if _BAD_ESCAPE.search(statement):
        yield "Escape the backslash", 0, size, _BAD_ESCAPE.sub(r"\\\\", statement)
    yield from _bare_value(statement)


def _headers(statement: str) -> Iterator[_Candidate]:
    bare = statement.split("#", 1)[0].rstrip()
    name = bare.strip("[] \t")
    brackets = 2 if bare.startswith("[[") else 1
    closed = "[" * brackets + name + "]" * brackets
    yield "Close the header", 0, len(bare), closed
    if bare.endswith("]]"):
        yield "Open the header", 0, len(bare), f"[[{name}]]"


def _missing_sign(statement: str) -> Iterator[_Candidate]:
    match = _NO_SIGN.match(statement)
    if match:
        yield "Write `=` between key and value", match.start(2), match.end(2), " = "


def _open_ends(statement: str) -> Iterator[_Candidate]:
    """Quotes and brackets that are never closed."""
    pair = _PAIR.match(statement)
    opened, last = _open_brackets(statement)
    closers = "".join(_BRACKETS[bracket] for bracket in reversed(opened))
    if closers:
        title = "Close the " + ("array" if opened[-1] == "[" else "table")
        yield title, last, last, closers
        yield title, last, last, f"\n{closers}"
    if pair is None or "\n" in statement:
        return
    for quote in ('"', "'"):
        yield "Close the string", len(statement), len(statement), quote
        if closers:
            yield "Close the string and the brackets", len(statement), len(statement), quote + closers
        inner = re.search(r"[ \t]*[\]}]+$", statement)
        if inner:
            yield "Close the string", inner.start(), inner.start(), quote
        # A quote that was opened nowhere.
        value = pair.start(3)
        if statement.endswith(quote) and not statement.startswith(quote, value):
            yield "Open the string", value, value, quote
        if statement.startswith(quote, value) and statement[-1] in "\"'":
            yield "Close the string by the quote that opened it", len(statement) - 1, len(statement), quote


def _open_brackets(statement: str) -> tuple[list[str], int]:
    """Brackets that are never closed, and where the last thing that is no comment ends."""
    opened: list[str] = []
    last = 0
    for match in _STRING_OR_BRACKET.finditer(statement):
        piece = match[0]
        if piece in _BRACKETS:
            opened.append(piece)
        elif piece in ("]", "}") and opened and _BRACKETS[opened[-1]] == piece:
            opened.pop()
        if piece[0] == "#":
            continue
        last = match.end()
    lines = statement[last:].split("\n", maxsplit=1)[0].split("#", maxsplit=1)[0].rstrip()
    return opened, last + len(lines)


def _bare_value(statement: str) -> Iterator[_Candidate]:
    pair = _PAIR.fullmatch(statement)
    if pair is None or not pair[3]:
        return
    value, start, end = pair[3], pair.start(3), pair.end(3)
    if value.lower() in _WORDS:
        yield f"Write `{_WORDS[value.lower()]}`", start, end, _WORDS[value.lower()]
    elif re.fullmatch(r"-?\.[0-9]+", value):
        yield "Write the zero", start, end, value.replace(".", "0.")
    elif re.fullmatch(r"-?[0-9]+\.", value):
        yield "Write the zero", start, end, f"{value}0"
    elif not re.search(r"[\"'\\\[\]{}]", value):
        yield "Quote the text", start, end, f'"{value}"'
