r"""Source text → segments: plain text, ``{{ … }}``, ``{% … %}`` and what is none of these after all.

Tera's lexical rules, not Jinja's (``format.md`` 2.2): no escapes in strings, backticks, ``\"…\"`` as a
quote looks inside a TOML string, ``::``, white space control that takes all white space, and openers
without closer left alone as text. A marker that cannot be read becomes a segment with a `problem`, and
reading goes on behind it, so that one pass reports every independent mistake.

Segments are numbered from 1; the number travels through the compiled template as its "line" and is what
every position of a finding and of the source map is made from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal, NamedTuple

from clnrm_nb.template.values import WHITE

__all__ = ["Scan", "Segment", "Token", "scan"]

SegmentKind = Literal["text", "print", "tag"]
_INT64: Final = 2**63


class Token(NamedTuple):
    """One token inside a marker: ``name int float string op`` and its value."""

    kind: str
    value: str | int | float
    offset: int


@dataclass(slots=True)
class Segment:
    """A piece of the source.

    Parameters
    ----------
    kind : {"text", "print", "tag"}
        Plain text, an expression marker, a statement marker.
    start, end : int
        Offsets in the source; for text after white space control.
    tokens : list of Token
        What stands inside the marker.
    problem : tuple of str, optional
        Code and message where the marker cannot be read.
    strips_left, strips_right : bool
        White space control on either side.
    """

    kind: SegmentKind
    start: int
    end: int
    tokens: list[Token] = field(default_factory=list)
    problem: tuple[str, str] | None = None
    strips_left: bool = False
    strips_right: bool = False

    @property
    def keyword(self) -> str:
        """The first word of a statement marker."""
        first = self.tokens[0] if self.kind == "tag" and self.tokens else None
        return str(first.value) if first and first.kind == "name" else ""


@dataclass(slots=True)
class Scan:
    """All segments of a source, its opaque ranges and the warnings about what was kept as text."""

    source: str
    segments: list[Segment] = field(default_factory=list)
    opaque: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of every marker, comment and raw section, in order: not TOML for who reads tables."""
    warnings: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Code, message, start and end offset."""
    comments_end: int = 0
    """Where the comments that begin the file end, as far as they stand directly behind each other."""


_OPENER: Final = re.compile(r"\{[{%#]")
_BLANK: Final = re.compile(r"\{\{-?\s*-?\}\}")
_ENDRAW: Final = re.compile(r"\{%(-?)\s*endraw\s*(-?)%\}")
_CLOSERS: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}
_TOKEN: Final = re.compile(
    r"""
      (?P<white>\s+)
    | \\"(?P<quoted>(?:[^\\]|\\(?!"))*)\\"
    | "(?P<double>[^"]*)"
    | '(?P<single>[^']*)'
    | `(?P<back>[^`]*)`
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<float>[0-9]+\.[0-9]+)
    | (?P<int>[0-9]+)
    | (?P<op>::|==|!=|<=|>=|//|\*\*|[-+*/%~<>=|.,:()\[\]{}])
    """,
    re.VERBOSE,
)
_DIGITS: Final = re.compile(r"[0-9]+")
_OPERAND_KINDS: Final = frozenset({"int", "float", "string"})
_WORD_OPERATORS: Final = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif"})


def scan(source: str) -> Scan:
    """Cut a source into segments; never raises."""
    result = Scan(source)
    position = text_start = 0
    unclosed: set[str] = set()
    while match := _OPENER.search(source, position):
        start, opener = match.start(), match.group()
        if opener in unclosed or source.find(_CLOSERS[opener], start + 2) < 0:
            unclosed.add(opener)
            message = f"`{opener}` is never closed; kept as text"
            result.warnings.append(("CLN111", message, start, start + 2))
            position = start + 2
            continue
        if opener == "{{" and (blank := _BLANK.match(source, start)):
            result.warnings.append(("CLN110", "`{{ }}` kept as text", start, blank.end()))
            position = blank.end()
            continue
        _add_text(result, text_start, start)
        position = text_start = _read_marker(result, opener, start)
    _add_text(result, text_start, len(source))
    _control_white_space(result)
    return result


def _add_text(result: Scan, start: int, end: int) -> None:
    if end > start:
        result.segments.append(Segment("text", start, end))


def _read_marker(result: Scan, opener: str, start: int) -> int:
    """Append the marker that starts here; return the offset behind it."""
    source = result.source
    if opener == "{#":
        end = source.find("#}", start + 2) + 2
        # Comments leave no output, but their dashes strip; an empty text segment carries them.
        comment = Segment("text", end, end)
        comment.strips_left = source.startswith("-", start + 2)
        comment.strips_right = end - start > 4 and source[end - 3] == "-"  # noqa: PLR2004 - "{##}"
        if start == result.comments_end:
            # A quirk of Tera: comments at the very start, one directly behind the other, do not strip.
            comment.strips_left = comment.strips_right = False
            result.comments_end = end
        result.segments.append(comment)
        result.opaque.append((start, end))
        return end
    segment = Segment("print" if opener == "{{" else "tag", start, start)
    segment.strips_left = source.startswith("-", start + 2)
    _tokenise(source, segment, start + 2 + segment.strips_left, _CLOSERS[opener])
    result.opaque.append((segment.start, segment.end))
    if segment.keyword == "raw" and len(segment.tokens) == 1:
        return _read_raw(result, segment)
    result.segments.append(segment)
    return segment.end


def _read_raw(result: Scan, opening: Segment) -> int:
    closing = _ENDRAW.search(result.source, opening.end)
    if closing is None:
        opening.problem = ("CLN101", "`raw` is never closed; expected `{% endraw %}`")
        result.segments.append(opening)
        return opening.end
    before = Segment("text", opening.start, opening.start, strips_left=opening.strips_left)
    before.strips_right = opening.strips_right
    after = Segment("text", closing.end(), closing.end(), strips_left=closing.group(1) == "-")
    after.strips_right = closing.group(2) == "-"
    result.segments += [before, Segment("text", opening.end, closing.start()), after]
    result.opaque[-1] = (opening.start, closing.end())
    return closing.end()


def _tokenise(source: str, segment: Segment, position: int, closer: str) -> None:
    """Fill tokens, end and strip flag of a marker; on a mistake, resume behind its first closer."""
    tokens = segment.tokens
    braces = 0
    size = len(source)
    while position < size:
        if braces == 0:
            dashed = source.startswith("-" + closer, position)
            if dashed or source.startswith(closer, position):
                segment.strips_right = dashed
                segment.end = position + 2 + dashed
                return
        match = _TOKEN.match(source, position)
        if match is None:
            _give_up(source, segment, position, closer)
            return
        kind = match.lastgroup
        if kind == "white":
            position = match.end()
            continue
        position = _add_token(source, tokens, match)
        if kind == "op":
            braces += {"{": 1, "}": -1}.get(match.group(), 0)
            braces = max(braces, 0)
        elif kind == "int" and not -_INT64 <= _integer(tokens[-1]) < _INT64:
            segment.problem = ("CLN101", f"integer out of range: `{_cut(match.group())}`")
        elif kind == "float" and not isfinite(float(tokens[-1].value)):
            segment.problem = ("CLN101", f"number out of range: `{_cut(match.group())}`")
    opening = source[segment.start : segment.start + 2]
    segment.end = source.find(closer, segment.start) + 2
    segment.problem = ("CLN101", f"expected `{closer}` to close `{opening}`")


def _integer(token: Token) -> int:
    assert isinstance(token.value, int)
    return token.value


def _cut(digits: str) -> str:
    return digits if len(digits) <= 40 else f"{digits[:40]}…"  # noqa: PLR2004 - enough to be found again


def _add_token(source: str, tokens: list[Token], match: re.Match[str]) -> int:
    """Append the token of `match`, resolving what depends on the token before; return the offset behind."""
    kind, text, start = match.lastgroup, match.group(), match.start()
    if kind in ("quoted", "double", "single", "back"):
        tokens.append(Token("string", match.group(kind), start))
    elif kind == "name":
        tokens.append(Token("name", text, start))
    elif kind in ("int", "float"):
        if tokens and tokens[-1].value == "." and tokens[-1].kind == "op":
            digits = _DIGITS.match(source, start)  # `a.0.1` holds two indices, no float
            assert digits is not None
            tokens.append(Token("int", int(digits.group()[:400]), start))
            return digits.end()
        negative = _is_sign(tokens)
        if negative:
            start = tokens.pop().offset
        value = float(text) if kind == "float" else int(text[:400])
        tokens.append(Token(kind, -value if negative else value, start))
    else:
        tokens.append(Token("op", text, start))
    return match.end()


def _is_sign(tokens: list[Token]) -> bool:
    """Whether the last token is a ``-`` that belongs to the number behind it."""
    if not tokens or tokens[-1].kind != "op" or tokens[-1].value != "-":
        return False
    if len(tokens) == 1:
        return True
    before = tokens[-2]
    if before.kind == "name":
        return before.value in _WORD_OPERATORS
    return before.kind not in _OPERAND_KINDS and before.value not in (")", "]", "}")


def _give_up(source: str, segment: Segment, position: int, closer: str) -> None:
    char = source[position]
    segment.end = source.find(closer, segment.start + 2) + 2
    if char in "\"'`" or source.startswith('\\"', position):
        quote = char if char != "\\" else '\\"'
        segment.problem = ("CLN101", f"string opened by {quote} is never closed")
    else:
        segment.problem = ("CLN101", f"unexpected character `{char}`")


def _control_white_space(result: Scan) -> None:
    """Apply dashes, and the swallowing of white space around leading ``import`` and ``extends`` tags."""
    source, segments = result.source, result.segments
    leading = True
    for index, segment in enumerate(segments):
        swallows = leading and segment.kind == "tag" and segment.keyword in ("import", "extends")
        if segment.kind == "text":
            leading = leading and not source[segment.start : segment.end].strip(WHITE)
        else:
            leading = leading and swallows
        if (segment.strips_left or swallows) and index:
            _strip_end(source, segments[index - 1])
        if (segment.strips_right or swallows) and index + 1 < len(segments):
            _strip_start(source, segments[index + 1])


def _strip_end(source: str, segment: Segment) -> None:
    if segment.kind == "text":
        segment.end = segment.start + len(source[segment.start : segment.end].rstrip(WHITE))


def _strip_start(source: str, segment: Segment) -> None:
    if segment.kind == "text":
        segment.start = segment.end - len(source[segment.start : segment.end].lstrip(WHITE))
