"""TOML with markers in it → tokens that cover the text without a gap.

Not a parser: it says where strings, comments and brackets begin and end, which is all that deciding about
white space takes. Markers are jumped over, wherever they stand. Where a part of the template could leave the
text in another state than it found it (a string opened in one branch and closed in another), what follows
depends on values: :attr:`Lexed.certain_to` says how far the tokens can be trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from clnrm_nb.formatter.markers import CLOSING, OPENING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.formatter.markers import Marker

__all__ = ["DEPTH", "Lexed", "Token", "lex"]

TokenKind = Literal["break", "white", "comment", "string", "sign", "bare", "print", "tag", "note"]


class Token(NamedTuple):
    """A piece of text; ``sign`` is one of ``[ ] { } = ,``, ``bare`` all of TOML without quotes."""

    kind: TokenKind
    start: int
    text: str
    keyword: str = ""


@dataclass(slots=True)
class Lexed:
    """The tokens of a text.

    Parameters
    ----------
    text : str
    tokens : list of Token
        From the beginning to the first thing that is no TOML.
    certain_to : int
        Offset up to which the tokens hold whatever the template prints.
    """

    text: str
    tokens: list[Token] = field(default_factory=list)
    certain_to: int = 0


_TOKEN: Final = re.compile(
    r"""
      (?P<break>\r?\n)
    | (?P<white>[ \t]+)
    | (?P<comment>\#[^\n]*)
    | (?P<string>
        \"{3}(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}
      | '{3}(?:[^']++|'{1,2}(?!'))*+'{3,5}
      | \"(?!"")(?:[^"\\\n]++|\\.)*+"
      | '(?!'')[^'\n]*'
      )
    | (?P<sign>[\[\]{}=,])
    | (?P<bare>[0-9]{4}-[0-9]{2}-[0-9]{2}[ ][0-9]{2}:[^\s,\]}\#{]+ | [^\s,\[\]{}\#"'=]+)
    """,
    re.VERBOSE,
)
_QUOTE: Final = re.compile(r"\"{3}|'{3}|[\"']")
_STRING_ENDS: Final = {
    '"': re.compile(r'\\.|(["\n])'),
    "'": re.compile(r"(['\n])"),
    '"""': re.compile(r'\\[\s\S]|("{3,5})'),
    "'''": re.compile(r"('{3,5})"),
}
_LINE_BREAK: Final = re.compile(r"(\n)")
DEPTH: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
"""How many brackets more are open behind a sign."""

_JUMPS: Final = frozenset({"break", "continue"})
_LEAVING: Final = CLOSING | {"else", "elif"} | _JUMPS

_State = tuple[str, int]
"""The quote of the string (or ``#``) a place is inside of, and the brackets open around it."""


class _Lexer:
    def __init__(self, text: str, markers: Sequence[Marker]) -> None:
        self.text = text
        self.markers = markers
        self.next_marker = 0
        self.found = Lexed(text, certain_to=len(text))
        self.depth = 0
        self.opened: list[tuple[str, _State, int]] = []
        """Keyword, state and offset of each part that is open."""

    def lex(self) -> Lexed:
        text, tokens, match_at = self.text, self.found.tokens, _TOKEN.match
        position, size, marker_start = 0, len(text), self._marker_start()
        while position < size:
            if position == marker_start:
                marker = self._pass_marker("")
                tokens.append(Token(marker.kind, position, text[position : marker.end], marker.keyword))
                position, marker_start = marker.end, self._marker_start()
                continue
            match = match_at(text, position)
            kind: TokenKind = match.lastgroup if match else "string"  # type: ignore[assignment]  # group names
            end = match.end() if match else -1
            if end > marker_start or match is None:
                end = self._end_around_markers(position)
                marker_start = self._marker_start()
            if end < 0:
                self._doubt(position)
                break
            token = text[position:end]
            if kind == "sign" and token in DEPTH:
                self.depth = max(self.depth + DEPTH[token], 0)
            tokens.append(Token(kind, position, token))
            position = end
        return self.found

    def _marker_start(self) -> int:
        if self.next_marker < len(self.markers):
            return self.markers[self.next_marker].start
        return len(self.text)

    def _end_around_markers(self, position: int) -> int:
        """Where a string or comment that holds markers ends; -1 if this is neither, or does not end."""
        if self.text[position] == "#":
            end = self._search(_LINE_BREAK, position, "#")
            return end - 1 if end >= 0 else len(self.text)
        quote = _QUOTE.match(self.text, position)
        if quote is None:
            return -1
        if quote[0] * 2 == self.text[position : position + 2] and len(quote[0]) == 1:
            return position + 2
        end = self._search(_STRING_ENDS[quote[0]], quote.end(), quote[0])
        return -1 if end > 0 and self.text[end - 1] == "\n" else end

    def _search(self, pattern: re.Pattern[str], position: int, state: str) -> int:
        """Behind the first match of the pattern's group outside markers; -1 if there is none."""
        while match := pattern.search(self.text, position):
            position = match.end()
            while match.end() > self._marker_start():
                marker = self._pass_marker(state)
                if match.start() < marker.end:
                    # What seemed to stand there stands in a marker, or is a backslash before one.
                    position = marker.end
                    break
            else:
                if match[1]:
                    return match.end()
        return -1

    def _pass_marker(self, inside: str) -> Marker:
        """Go behind the next marker; ``inside`` is the quote or ``#`` around it."""
        marker = self.markers[self.next_marker]
        self.next_marker += 1
        state = (inside, self.depth)
        if marker.keyword in OPENING:
            self.opened.append((marker.keyword, state, marker.start))
        elif marker.keyword in _LEAVING:
            # What follows is reached from the opening marker too, or from the beginning of the loop.
            is_jump = marker.keyword in _JUMPS
            around = (part for part in reversed(self.opened) if not is_jump or part[0] == "for")
            if (part := next(around, None)) and part[1] != state:
                self._doubt(part[2])
            if marker.keyword in CLOSING and self.opened:
                self.opened.pop()
        return marker

    def _doubt(self, start: int) -> None:
        self.found.certain_to = min(self.found.certain_to, start)


def lex(text: str, markers: Sequence[Marker]) -> Lexed:
    """Cut `text` into tokens; never raises.

    Parameters
    ----------
    text : str
    markers : sequence of Marker
        Its template markers in order; none where it is no template.
    """
    return _Lexer(text, markers).lex()
