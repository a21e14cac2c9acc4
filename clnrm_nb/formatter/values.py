"""Keys and values written anew: spaces, indentation and trailing commas of arrays and inline tables.

Who wrote an array over several lines keeps it so, with as many elements a line as before; only a line break
behind the opening and before the closing bracket is added. Nothing here is recursive: nesting has no limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.formatter.lexer import Token

__all__ = ["INDENT", "key_text", "value_text"]

INDENT: Final = "  "
_ATOMS: Final = frozenset({"string", "bare", "print"})
_BLANK_LINE: Final = 2
_CLOSER: Final = {"[": "]", "{": "}"}


def key_text(tokens: Sequence[Token]) -> str | None:
    """A key without spaces around its dots; ``None`` where it is no key."""
    text = ""
    is_apart = False
    for token in tokens:
        if token.kind == "white":
            is_apart = bool(text)
            continue
        if token.kind not in _ATOMS:
            return None
        if is_apart and not (text.endswith(".") or token.text.startswith(".")):
            return None
        text += token.text
        is_apart = False
    return text or None


def value_text(tokens: Sequence[Token]) -> str | None:
    """A value in its layout; ``None`` where the tokens are not one value that is understood."""
    writer = _Writer(_many_line_brackets(tokens))
    for index, token in enumerate(tokens):
        if not writer.take(index, token):
            return None
    return writer.result()


def _many_line_brackets(tokens: Sequence[Token]) -> set[int]:
    """Indices of the opening brackets with a line break or comment directly inside."""
    found: set[int] = set()
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "sign" and token.text in "[{":
            opened.append(index)
        elif token.kind == "sign" and token.text in "]}" and opened:
            opened.pop()
        elif token.kind in ("break", "comment") and opened:
            found.add(opened[-1])
    return found


@dataclass(slots=True)
class _Bracket:
    """An array or inline table that is being written."""

    opener: str
    has_lines: bool
    has_content: bool = False
    ends_at: int = 0
    """How many pieces were written when its last element was complete."""
    has_comma: bool = False
    """Whether a comma stands behind that element."""
    is_opaque: bool = False
    """Whether a marker is an element: what it prints may hold commas, or be nothing."""


@dataclass(slots=True)
class _Writer:
    """Writes one value token by token; :meth:`take` says whether the token could follow."""

    many_lines: set[int]
    pieces: list[str] = field(default_factory=list)
    brackets: list[_Bracket] = field(default_factory=list)
    key: list[Token] | None = None
    """The tokens of the key that is being read, in an inline table."""
    expects: str = "value"
    """``value``, ``key``, or ``end`` behind a complete element."""
    breaks: int = 0
    is_glued: bool = False
    """Whether the last token was an atom with nothing behind it yet."""

    def take(self, index: int, token: Token) -> bool:
        """Write a token, or remember the space it stands for."""
        kind = token.kind
        if kind == "white":
            self.is_glued = False
            if self.key is not None:
                self.key.append(token)
            return True
        if kind == "break":
            self.is_glued = False
            self.breaks += 1
            return self.key is None and bool(self.brackets)
        if kind == "comment":
            return self._comment(token.text.rstrip())
        if self.expects == "key" and not (kind == "sign" and token.text in "=,}"):
            return self._key_part(token)
        if kind in _ATOMS:
            return self._atom(token)
        return kind == "sign" and self._sign(index, token.text)

    def result(self) -> str | None:
        """The value, if it is complete."""
        return "".join(self.pieces) if self.expects == "end" and not self.brackets else None

    @property
    def _is_behind_equals(self) -> bool:
        return bool(self.brackets) and self.brackets[-1].opener == "{" and self.expects == "value"

    # -- elements

    def _key_part(self, token: Token) -> bool:
        if token.kind not in _ATOMS:
            return False
        if self.key is None:
            self.key = []
        self.key.append(token)
        return True

    def _atom(self, token: Token) -> bool:
        if self.expects == "end":
            # `{{ a }}-{{ b }}` is one value; a string beside anything else is none.
            last_is_text = self.pieces[-1][-1:] in "\"'" or token.kind == "string"
            if not self.is_glued or last_is_text:
                return False
            self.pieces.append(token.text)
        else:
            self._begin_element()
            self.pieces.append(token.text)
        self._end_element(is_opaque=token.kind == "print")
        self.is_glued = True
        return True

    def _begin_element(self) -> None:
        """White space before an element; behind ``=`` there is some already."""
        if self.brackets and not self._is_behind_equals:
            self._lead()

    def _end_element(self, *, is_opaque: bool = False) -> None:
        self.expects = "end"
        if self.brackets:
            bracket = self.brackets[-1]
            bracket.ends_at = len(self.pieces)
            bracket.has_comma = False
            bracket.is_opaque |= is_opaque

    def _lead(self) -> None:
        bracket = self.brackets[-1]
        if bracket.has_lines and (self.breaks or not bracket.has_content):
            blank = "\n" if self.breaks >= _BLANK_LINE and bracket.has_content else ""
            self.pieces.append(f"{blank}\n{self._indent()}")
        elif bracket.has_content or bracket.opener == "{":
            self.pieces.append(" ")
        bracket.has_content = True
        self.breaks = 0

    def _indent(self) -> str:
        return INDENT * sum(bracket.has_lines for bracket in self.brackets)

    # -- signs

    def _sign(self, index: int, sign: str) -> bool:
        if sign == "=":
            return self._equals()
        if sign in _CLOSER:
            return self._open(index, sign)
        if not self.brackets:
            return False
        if self.key is not None and not self._key_without_value():
            return False
        return self._comma() if sign == "," else self._close(sign)

    def _equals(self) -> bool:
        key = key_text(self.key) if self.key else None
        if key is None or not self.brackets:
            return False
        self._lead()
        self.pieces.append(f"{key} = ")
        self.key, self.expects = None, "value"
        return True

    def _key_without_value(self) -> bool:
        """``{ {{ pairs }} }``: one marker that prints whole pairs."""
        parts = [token for token in self.key or () if token.kind != "white"]
        if len(parts) != 1 or parts[0].kind != "print":
            return False
        self.key = None
        self._lead()
        self.pieces.append(parts[0].text)
        self._end_element(is_opaque=True)
        return True

    def _open(self, index: int, sign: str) -> bool:
        if self.expects != "value":
            return False
        self._begin_element()
        self.pieces.append(sign)
        self.brackets.append(_Bracket(sign, index in self.many_lines))
        self.expects = "value" if sign == "[" else "key"
        self.breaks = 0
        return True

    def _comma(self) -> bool:
        bracket = self.brackets[-1]
        if self.expects != "end":
            return False
        # Before a comment, if there is one: `1  # one` and `, 2` below it become `1,  # one` and `2`.
        self.pieces.insert(bracket.ends_at, ",")
        bracket.has_comma = True
        self.expects = "value" if bracket.opener == "[" else "key"
        self.is_glued = False
        return True

    def _close(self, sign: str) -> bool:
        bracket = self.brackets[-1]
        is_complete = self.expects == "end" or bracket.has_comma or not bracket.ends_at
        if sign != _CLOSER[bracket.opener] or not is_complete or self._is_behind_equals:
            return False
        self._settle_last_comma(bracket)
        self.brackets.pop()
        if bracket.has_lines and bracket.has_content:
            self.pieces.append(f"\n{self._indent()}{sign}")
        else:
            self.pieces.append(f" {sign}" if sign == "}" and bracket.has_content else sign)
        self.breaks = 0
        self.is_glued = False
        self._end_element()
        return True

    def _settle_last_comma(self, bracket: _Bracket) -> None:
        """A comma behind the last element of many lines, none on one line."""
        if bracket.is_opaque or not bracket.ends_at or bracket.has_comma == bracket.has_lines:
            return
        if bracket.has_lines:
            self.pieces.insert(bracket.ends_at, ",")
        else:
            del self.pieces[bracket.ends_at]

    def _comment(self, text: str) -> bool:
        if self.key is not None or not self.brackets or self._is_behind_equals:
            return False
        bracket = self.brackets[-1]
        if self.breaks:
            self._lead()
        else:
            self.pieces.append("  ")
        bracket.has_content = True
        self.pieces.append(text)
        self.breaks = 0
        return True
