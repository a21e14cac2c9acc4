"""A text that is not TOML, read as far as it is: broken statements are blanked out, the rest is kept.

A broken line must not hide what else is wrong in a file. The text is cut into statements by a splitter that
survives anything; tomli judges each alone; what it refuses becomes spaces, so that every other offset stays
where it was. What needs more than one statement to be wrong (a key defined twice) is found by parsing what
is left, as often as something is in the way.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import tomli

if TYPE_CHECKING:
    from clnrm_nb.scenario.positions import Span

__all__ = ["Conflict", "Recovered", "Refusal", "recover", "split_statements"]

_MAX_CONFLICTS: Final = 20
_PIECE: Final = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*'"
    r"|[\"'][^\n]*"  # a quote that is never closed takes the rest of its line
    r"|#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\[\]{}\n\"'#]+"
)
_TRIVIA: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_NOT_A_BREAK: Final = re.compile(r"[^\n]")
_WHITE: Final = " \t\r\n"
_KEY: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_HEADER_LINE: Final = re.compile(r"[ \t]*\[{1,2}[ \t]*[A-Za-z_][^\[\]\n,#=]*\]{0,2}[ \t]*(?:#|\n|\Z)")
_PAIR_LINE: Final = re.compile(rf"[ \t]*{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*[ \t]*=")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A statement that is not TOML by itself: its span, and tomli's word with its offset in the text."""

    statement: Span
    message: str
    at: int
    is_number: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether the statement ends before something it began does."""
        return self.at >= self.statement[1]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A statement that contradicts an earlier one, and the text in which it was found."""

    message: str
    at: int
    text: str


@dataclass(slots=True)
class Recovered:
    """What could be read.

    Parameters
    ----------
    text : str
        The text with everything unreadable blanked out; all offsets are those of the original.
    document : dict or None
        What it says; ``None`` where even that could not be found out.
    refusals, conflicts
        What was in the way.
    holes : list of Span
        What was blanked out. A hole that begins with a header takes the body of the table with it.
    """

    text: str
    document: dict[str, Any] | None = None
    refusals: list[Refusal] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    holes: list[Span] = field(default_factory=list)


def recover(text: str) -> Recovered:
    """Read what is TOML in `text`; never raises."""
    statements = split_statements(text)
    found = Recovered(text)
    for start, end in statements:
        refusal = _judged(text, start, end)
        if refusal is not None:
            found.refusals.append(refusal)
    _blank(found, text, statements, [refusal.statement[0] for refusal in found.refusals])
    for _ in range(_MAX_CONFLICTS):
        try:
            found.document = tomli.loads(found.text)
        except tomli.TOMLDecodeError as error:
            found.conflicts.append(Conflict(error.msg, error.pos, found.text))
            if not _blank(found, text, statements, [error.pos]):
                return found
        except (RecursionError, ValueError):
            return found
        else:
            return found
    return found


def _judged(text: str, start: int, end: int) -> Refusal | None:
    """What tomli has to say about one statement alone."""
    written = text[start:end]
    try:
        tomli.loads(written)
    except tomli.TOMLDecodeError as error:
        return None if _is_conflict(error) else Refusal((start, end), error.msg, start + error.pos)
    except RecursionError:
        return Refusal((start, end), "arrays or tables are nested too deeply", end)
    except ValueError:
        # Python refuses to convert integers of more than 4300 digits before tomli can see their size.
        return Refusal((start, end), "integer out of range", end, is_number=True)
    return None


_CONFLICT = re.compile(r"Cannot (overwrite|declare|mutate|redefine)|Duplicate", re.IGNORECASE)


def _is_conflict(error: tomli.TOMLDecodeError) -> bool:
    return _CONFLICT.match(error.msg) is not None


def _blank(found: Recovered, text: str, statements: list[Span], offsets: list[int]) -> bool:
    """Blank out the statements at `offsets`, a header with the body of its table; whether there was any."""
    headers = [start for start, _ in statements if text[start] == "["]
    pieces: list[str] = []
    done = 0
    before = len(found.holes)
    for offset in offsets:
        index = bisect_right(statements, (offset, len(text))) - 1
        if index < 0:
            continue
        start, end = statements[index]
        if text[start] == "[":
            following = bisect_right(headers, start)
            end = headers[following] if following < len(headers) else len(text)
        written = found.text[start:end]
        # Inside of what is blank already there is nothing left.
        if start < done or not written.strip():
            continue
        pieces += (found.text[done:start], _NOT_A_BREAK.sub(" ", written))
        done = end
        found.holes.append((start, end))
    found.text = "".join((*pieces, found.text[done:]))
    return len(found.holes) > before


def split_statements(text: str) -> list[Span]:
    """The statements of `text` (headers, key-value pairs, whatever else stands on a line), in order.

    A bracket that is never closed ends where a line looks like the next statement.
    """
    statements: list[Span] = []
    at = 0
    while (at := _skip_trivia(text, at)) < len(text):
        end = _statement_end(text, at)
        statements.append((at, end))
        at = end
    return statements


def _skip_trivia(text: str, at: int) -> int:
    match = _TRIVIA.match(text, at)
    return match.end() if match else at


def _statement_end(text: str, start: int) -> int:
    opened: list[str] = []
    # A header never goes on behind its line, so that one without its closing bracket stays one line.
    is_header = text[start] == "["
    last = ""
    end = at = start
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            return len(text)
        piece = match[0]
        if piece == "\n":
            if not opened or is_header or _begins_statement(text, match.end(), opened[-1], last):
                return end
        elif piece in ("[", "{"):
            opened.append(piece)
        elif piece in ("]", "}") and opened:
            opened.pop()
        if piece != "\n" and piece[0] != "#" and (kept := piece.rstrip(_WHITE)):
            last = kept[-1]
            end = at + len(kept)
        at = match.end()
    return end


def _begins_statement(text: str, at: int, bracket: str, last: str) -> bool:
    """Whether the next line is a statement, so that an open `bracket` cannot reach beyond it."""
    at = _skip_trivia(text, at)
    line = text.rfind("\n", 0, at) + 1
    if _HEADER_LINE.match(text, line):
        return True
    if _PAIR_LINE.match(text, line) is None:
        return False
    return bracket == "[" or last not in ("{", ",")
