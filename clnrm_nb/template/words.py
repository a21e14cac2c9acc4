"""Word lists of the ``fake_*`` functions, kept as data in ``library/words.json``.

They may change only with the format version (``format.md`` 2.8): a seed names a value for good.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import orjson

__all__ = ["words"]


@cache
def words(kind: str) -> tuple[str, ...]:
    """All words of a kind, in their order."""
    return tuple(_lists()[kind])


@cache
def _lists() -> dict[str, list[str]]:
    content = resources.files("clnrm_nb.template").joinpath("library", "words.json").read_bytes()
    lists: dict[str, list[str]] = orjson.loads(content)
    return lists
