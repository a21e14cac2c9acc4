"""Lines of a stream of text: cut where they end, numbered, and those that are too long left out by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.loaders.jsontext import Fault, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.spans.loaders.report import LoadReport

__all__ = ["MAX_LINE_BYTES", "Gaps", "numbered", "too_long", "whole_lines"]

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""Of one line, or one object spread over lines."""

_STEP_BYTES: Final = 1024 * 1024


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
                looks_json = content.lstrip().startswith((b"{", b"\xff"))
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
