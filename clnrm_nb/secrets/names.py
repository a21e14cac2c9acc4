"""Which names promise a secret: the rule under ``format.md`` 4, CLN413."""

from __future__ import annotations

from typing import Final

__all__ = ["names_a_secret"]

_SECRET_WORDS: Final = frozenset(("PASSWORD", "PASSWD", "SECRET", "CREDENTIALS"))
_KEY_OWNERS: Final = frozenset(("API", "ACCESS", "PRIVATE", "SECRET"))


def names_a_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret.

    Parameters
    ----------
    name : str
        Name of an environment variable; case does not matter.
    """
    words = name.upper().split("_")
    if _SECRET_WORDS.intersection(words) or words[-1] == "TOKEN":
        return True
    return words[-1] == "KEY" and len(words) > 1 and words[-2] in _KEY_OWNERS
