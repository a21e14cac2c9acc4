"""Tokens → the lines of a file, each written anew.

A line here is what TOML takes for one: a statement with all the lines of its arrays and strings, a comment, a
table header. Template statements may stand alone, before or behind it; one *inside* leaves the whole line as
it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from clnrm_nb.formatter.lexer import DEPTH
from clnrm_nb.formatter.markers import CLOSING, OPENING
from clnrm_nb.formatter.values import key_text, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.formatter.lexer import Lexed, Token

__all__ = ["Line", "lines_of"]

LineKind = Literal["blank", "comment", "header", "pair", "opening", "between", "closing", "marker"]

_GAP: Final = "  "
"""Before a comment behind a statement."""


class Line(NamedTuple):
    """One line in its layout, without line break.

    ``opening``, ``between`` and ``closing`` are lines of template statements only: they open a part, divide
    it (``else``), or end one. ``marker`` is any other line without TOML.
    """

    kind: LineKind
    text: str


def lines_of(lexed: Lexed) -> tuple[list[Line], int]:
    """The lines of a text in their layout.

    Returns
    -------
    tuple
        The lines, and the offset behind the last of them: the length of the text, or the beginning of the
        first line that is not understood.
    """
    found: list[Line] = []
    done = 0
    for end, tokens in _split(lexed):
        line = _line(tokens) if end <= lexed.certain_to else None
        if line is None:
            return found, done
        found.append(line)
        done = end
    return found, done


def _split(lexed: Lexed) -> Iterator[tuple[int, list[Token]]]:
    """Tokens of each line without its white space at both ends, and where the line ends."""
    line: list[Token] = []
    depth = 0
    end = 0
    for token in lexed.tokens:
        end = token.start + len(token.text)
        if token.kind == "break" and depth <= 0:
            yield end, _stripped(line)
            line, depth = [], 0
            continue
        if token.kind == "sign":
            depth += DEPTH.get(token.text, 0)
        line.append(token)
    if line or end < len(lexed.text):
        # Where the lexer gave up or a bracket is open, the line has no end that could be relied on.
        is_whole = end == len(lexed.text) and depth <= 0
        yield (end if is_whole else len(lexed.text) + 1), _stripped(line)


def _stripped(line: list[Token]) -> list[Token]:
    start = 0
    while start < len(line) and line[start].kind == "white":
        start += 1
    end = len(line)
    while end > start and line[end - 1].kind == "white":
        end -= 1
    return line[start:end]


def _line(tokens: Sequence[Token]) -> Line | None:
    if not tokens:
        return Line("blank", "")
    if tokens[0].kind == "comment":
        return Line("comment", tokens[0].text.rstrip())
    start, end = _core(tokens)
    if start == end or all(token.kind in ("print", "tag", "note", "white") for token in tokens[start:end]):
        return Line(_kind_of_markers(tokens), _verbatim(tokens))
    core = tokens[start:end]
    is_header = core[0].text == "[" and core[0].kind == "sign"
    if any(token.kind in ("tag", "note") for token in core):
        return Line("header" if is_header else "pair", _verbatim(tokens))
    text = _header(core) if is_header else _pair(core)
    if text is None:
        return None
    before, behind = _verbatim(tokens[:start], gap=_GAP), _verbatim(tokens[end:], gap=_GAP)
    return Line("header" if is_header else "pair", f"{before}{text}{behind}")


def _core(tokens: Sequence[Token]) -> tuple[int, int]:
    """Where the TOML of a line begins and ends, without template statements and comment around it."""
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind in ("tag", "note", "white"):
        start += 1
    while end > start and tokens[end - 1].kind in ("tag", "note", "white", "comment"):
        end -= 1
    return start, end


def _verbatim(tokens: Sequence[Token], *, gap: str = "") -> str:
    """Tokens as they are; with `gap`, comments stand that far behind and other white space is one space."""
    pieces: list[str] = []
    for token in tokens:
        if token.kind == "comment" and gap:
            if pieces and pieces[-1] == " ":
                pieces.pop()
            pieces += [gap, token.text.rstrip()]
        elif token.kind == "white" and gap:
            pieces.append(" ")
        else:
            pieces.append(token.text)
    return "".join(pieces).rstrip(" \t\r") if tokens and tokens[-1].kind == "comment" else "".join(pieces)


def _kind_of_markers(tokens: Sequence[Token]) -> LineKind:
    keywords = [token.keyword for token in tokens if token.kind == "tag"]
    depth = sum((word in OPENING) - (word in CLOSING) for word in keywords)
    if depth > 0:
        return "opening"
    if depth == 0 and keywords and keywords[0] in ("else", "elif"):
        return "between"
    return "closing" if depth < 0 else "marker"


def _header(tokens: Sequence[Token]) -> str | None:
    """``[a.b]`` or ``[[a.b]]``; brackets of an element stand close together."""
    opening = 2 if len(tokens) > 1 and tokens[1].text == "[" and tokens[1].kind == "sign" else 1
    closers = [token.text for token in tokens[-opening:]]
    key = key_text(tokens[opening:-opening])
    if closers != ["]"] * opening or key is None:
        return None
    return f"{'[' * opening}{key}{']' * opening}"


def _pair(tokens: Sequence[Token]) -> str | None:
    equals = next((i for i, token in enumerate(tokens) if token.kind == "sign" and token.text == "="), 0)
    key, value = key_text(tokens[:equals]), value_text(tokens[equals + 1 :])
    return None if key is None or value is None else f"{key} = {value}"
