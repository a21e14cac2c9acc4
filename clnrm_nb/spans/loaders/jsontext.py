"""Text to JSON values, and where it is none: the place and the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import orjson

__all__ = ["Fault", "parse"]

_MORE: Final = "content after document"
_END: Final = ("unexpected end of data", "unterminated string", "unterminated")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no JSON.

    Parameters
    ----------
    reason : str
        Half a sentence.
    position : int
        In characters, from the beginning of the text.
    is_end : bool
        It breaks off; what is there is all right.
    """

    reason: str
    position: int
    is_end: bool = False

    def place(self, text: bytes, line: int, offset: int) -> tuple[int, int]:
        """Line and offset in a source of the fault in a text that begins at `line` and `offset` there."""
        # Positions of the parser are characters where there are any beyond ASCII.
        at = self.position
        if not text.isascii():
            at = len(text.decode("utf-8", "surrogateescape")[:at].encode("utf-8", "surrogateescape"))
        return line + text.count(b"\n", 0, at), offset + at


def parse(text: bytes) -> Any:
    """A JSON value; a :class:`Fault` if it is none. The slower parser takes what the strict one refuses."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        strict = error
    if _MORE in strict.msg:
        # The slower parser would say the same, after making a text of all the bytes.
        return Fault("more behind the end of the value", strict.pos)
    return _parse_slowly(text, strict)


def _parse_slowly(text: bytes, strict: orjson.JSONDecodeError) -> Any:
    try:
        # Lone surrogates become U+FFFD: nothing that comes later could encode them.
        return _without_surrogates(json.loads(text))
    except json.JSONDecodeError as error:
        # Some of its sentences end with where, which is said in our way.
        reason = error.msg.lower().removesuffix(" at").removesuffix(" starting")
        return Fault(reason, error.pos, is_end=_breaks_off(text, error, strict))
    except RecursionError:
        return Fault("nested too deeply", 0)
    except UnicodeError:
        return Fault("not UTF-8", _first_odd(text))
    except ValueError:
        return Fault("a number with too many digits", strict.pos)


def _first_odd(text: bytes) -> int:
    """How many characters stand before the first byte that is none."""
    try:
        return len(text.decode())
    except UnicodeDecodeError as error:
        return len(text[: error.start].decode())


def _breaks_off(text: bytes, error: json.JSONDecodeError, strict: orjson.JSONDecodeError) -> bool:
    if any(end in strict.msg.lower() or end in error.msg.lower() for end in _END):
        return True
    return not text[error.pos :].strip()


def _without_surrogates(value: Any) -> Any:
    """Replace what is no character, without recursion."""
    top: list[Any] = [value]
    todo: list[Any] = [top]
    while todo:
        holder = todo.pop()
        items = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        if isinstance(holder, dict):
            holder.clear()
        for key, inner in items:
            place = _clean(key) if isinstance(key, str) else key
            holder[place] = _clean(inner) if isinstance(inner, str) else inner
            if isinstance(inner, dict | list):
                todo.append(inner)
    return top[0]


def _clean(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
