"""Spans among what a program prints: every form of JSON that files may have, between any other text.

JSON without any word of a span in it is never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import documents, pieces
from clnrm_nb.spans.loaders.jsontext import Fault, parse
from clnrm_nb.spans.loaders.objects import Objects

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Shared

__all__ = ["PrintedSpans"]


class PrintedSpans:
    """Find spans in one stream of printed text.

    Parameters
    ----------
    shared : Shared
        Store of equal content.
    """

    __slots__ = ("_objects", "_shared")

    def __init__(self, shared: Shared) -> None:
        self._objects = Objects()
        self._shared = shared

    def feed(self, data: bytes) -> Intake | None:
        """What the next piece of text completes; ``None`` if that holds nothing about spans."""
        return self._read(self._objects.feed(data))

    def end(self) -> Intake | None:
        """What is left when the stream has ended."""
        return self._read(self._objects.end())

    def _read(self, found: list[tuple[int, bytes, Any]]) -> Intake | None:
        intake = Intake(self._shared)
        for _, text, value in found:
            if not any(mark in text for mark in documents.SPAN_MARKS):
                continue
            document = parse(text) if value is None else value
            if isinstance(document, Fault):
                continue
            try:
                documents.read(document, intake)
            except documents.AmbiguousError as error:
                intake.refuse(f"it may be {' or '.join(error.args)}")
        pieces.settle(intake)
        return intake if len(intake.table) or intake.refused else None
