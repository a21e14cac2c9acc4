"""Lines of a stream of text: cut where they end, numbered, and those that are too long left out by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.loaders.jsontext import Fault, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.spans.loaders.report import LoadReport

__all__ = ["MAX_LINE_BYTES", "Gaps", "begins_with_a_line", "numbered", "too_long", "whole_lines"]

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""Of one line, or one object spread over lines."""

_STEP_BYTES: Final = 1024 * 1024
_LOOK_BEHIND_BYTES: Final = 64


_JSON_START: Final = re.compile(rb"\s*(?:\{|\[\s*\{|\xff)")
"""Many a line of a log begins with a bracket and a word."""

_MORE: Final = re.compile(rb"\S")


def begins_with_a_line(data: bytes) -> bool:
    """Whether the first line that is not blank holds JSON of its own, and is not the only one.

    The brackets are asked, not the parser, for the line may be most of a gigabyte: within one value no line
    ends with a closing bracket and the next one begins with anything but a comma or another such bracket.
    """
    start = _MORE.search(data)
    end = -1 if start is None else data.find(b"\n", start.start())
    more = None if end < 0 else _MORE.search(data, end)
    closes = data[max(0, end - _LOOK_BEHIND_BYTES) : max(0, end)].rstrip().endswith((b"}", b"]"))
    return closes and more is not None and more[0] not in (b",", b"}", b"]")


def too_long() -> str:
    """What is said of a line beyond the limit."""
    return f"a line of more than {MAX_LINE_BYTES} bytes"


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes | int]:
    """The same text cut behind line breaks; in place of a line that is too long the number of its bytes."""
    rest, n_lost = bytearray(), 0
    # In small steps, because each is copied.
    for part in (
        piece[at : at + _STEP_BYTES] for piece in pieces for at in range(0, len(piece), _STEP_BYTES)
    ):
        rest += part
        if n_lost and (end := rest.find(b"\n") + 1):
            yield n_lost + end
            n_lost = 0
            del rest[:end]
        if not n_lost and (end := rest.rfind(b"\n") + 1):
            yield bytes(rest[:end])
            del rest[:end]
        if n_lost or len(rest) > MAX_LINE_BYTES:
            n_lost += len(rest)
            rest.clear()
    if rest or n_lost:
        yield n_lost or bytes(rest)


def numbered(pieces: Iterable[bytes]) -> Iterator[tuple[int, int, bytes | None]]:
    """Every line with its number and offset; ``None`` for one that is too long."""
    line, offset = 1, 0
    for text in whole_lines(pieces):
        if isinstance(text, int):
            yield line, offset, None
            line += 1
            offset += text
            continue
        for content in text.removesuffix(b"\n").split(b"\n"):
            yield line, offset, content
            line += 1
            offset += len(content) + 1


class Gaps:
    """The text between objects: its lines counted, and those noted that look like data.

    Attributes
    ----------
    text : bytearray
        What is neither counted nor read yet.
    offset, line : int
        Where it begins.
    """

    def __init__(self, report: LoadReport) -> None:
        self._report = report
        self.text = bytearray()
        self.offset = 0
        self.line = 1

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + len(self.text)

    def pass_over(self, end: int) -> None:
        """Count the text up to an offset."""
        size = end - self.offset
        for number, content in enumerate(bytes(self.text[:size]).split(b"\n")):
            self.line += number > 0
            if content.strip():
                looks_json = _JSON_START.match(content)
                self._report.skip(
                    line=self.line, offset=self.offset, reason=_reason(content) if looks_json else None
                )
            self.offset += len(content) + 1
        self.offset = end
        del self.text[:size]

    def leave_out(self, text: bytes) -> None:
        """Go on behind an object that was read."""
        self.line += text.count(b"\n")
        self.offset += len(text)
        del self.text[: len(text)]


def _reason(content: bytes) -> str:
    fault = parse(content)
    return f"not valid JSON: {fault.reason}" if isinstance(fault, Fault) else "not valid JSON"
