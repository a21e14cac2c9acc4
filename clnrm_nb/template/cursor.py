"""A place in the tokens of one marker: looking ahead, taking, and saying what was expected instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.template.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.template.lexer import Token

__all__ = ["Cursor"]


class Cursor:
    """A place in the tokens of one marker."""

    def __init__(self, tokens: Sequence[Token], closer: str) -> None:
        self.tokens = tokens
        self.index = 0
        self.closer = closer

    @property
    def current(self) -> Token | None:
        """The token ahead, None at the end of the marker."""
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def is_op(self, *values: str, ahead: int = 0) -> bool:
        """Whether one of these operators stands `ahead`."""
        index = self.index + ahead
        if index >= len(self.tokens):
            return False
        token = self.tokens[index]
        return token.kind == "op" and token.value in values

    def is_name(self, *values: str, ahead: int = 0) -> bool:
        """Whether one of these words (any word, without arguments) stands `ahead`."""
        index = self.index + ahead
        if index >= len(self.tokens) or self.tokens[index].kind != "name":
            return False
        return not values or self.tokens[index].value in values

    def take(self) -> Token:
        """The token ahead; moves on."""
        token = self.current
        if token is None:
            raise self.unexpected("an expression")
        self.index += 1
        return token

    def accept_op(self, value: str) -> bool:
        """Take this operator if it is ahead."""
        found = self.is_op(value)
        self.index += found
        return found

    def accept_name(self, value: str) -> bool:
        """Take this word if it is ahead."""
        found = self.is_name(value)
        self.index += found
        return found

    def expect_op(self, value: str) -> None:
        """Take this operator or fail."""
        if not self.accept_op(value):
            raise self.unexpected(f"`{value}`")

    def expect_name(self, wanted: str = "a name") -> str:
        """Take any word or fail."""
        token = self.current
        if token is None or token.kind != "name":
            raise self.unexpected(wanted)
        self.index += 1
        return str(token.value)

    def expect_end(self, after: str = "") -> None:
        """Fail unless the marker ends here."""
        if self.current is not None:
            raise self.unexpected(f"`{self.closer}`" + (f" after `{after}`" if after else ""))

    def unexpected(self, wanted: str) -> Fault:
        """What was wanted and what stands there instead."""
        token = self.current
        if token is None:
            return Fault("CLN101", f"expected {wanted} before `{self.closer}`")
        found = f'"{token.value}"' if token.kind == "string" else str(token.value)
        return Fault("CLN101", f"expected {wanted}, got `{found}`")
