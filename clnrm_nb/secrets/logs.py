"""Log records without secrets, whatever a record is made of: its message, its arguments, its traceback."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.secrets.masker import Masker

__all__ = ["MaskingFormatter", "masked_logs", "masked_text"]

# Of the runs that go on now: a record does not say which one it belongs to.
_MASKERS: Final[list[Masker]] = []


@contextmanager
def masked_logs(masker: Masker) -> Iterator[None]:
    """What a :class:`MaskingFormatter` writes while this lasts is masked."""
    _MASKERS.append(masker)
    try:
        yield
    finally:
        _MASKERS.remove(masker)


def masked_text(text: str) -> str:
    """A text without the secrets of the runs that go on now."""
    for masker in tuple(_MASKERS):
        text = masker.text(text)
    return text


class MaskingFormatter(logging.Formatter):
    """Masks whole lines as another formatter writes them.

    Parameters
    ----------
    inner : logging.Formatter
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return masked_text(self._inner.format(record))
