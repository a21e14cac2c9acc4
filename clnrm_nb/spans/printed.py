"""Spans among what a program prints: OTLP JSON, flat spans, the SDK's console output, between any other text.

JSON without any word of a span in it is never parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import documents
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

    def _read(self, found: list[tuple[int, bytes]]) -> Intake | None:
        intake = Intake(self._shared)
        for _, text in found:
            document = _parse(text)
            if document is not None:
                documents.read(document, intake)
        return intake if len(intake.table) or intake.refused else None


def _parse(text: bytes) -> Any:
    if not any(mark in text for mark in documents.SPAN_MARKS):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
