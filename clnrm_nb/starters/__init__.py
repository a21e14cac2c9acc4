"""Starter files of ``clnrm template NAME``: each complete, commented, and run by the tests.

Only data and its list live here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["ENDING", "STARTERS", "text_of"]

ENDING: Final = ".clnrm.toml.tera"

STARTERS: Final = {
    "otel": "A program that sends spans by OTLP, and what must be seen of it.",
    "matrix": "One file, a test for each combination of values.",
    "macros": "Repeated tables written by macros, built-in ones and one of its own.",
    "full-validation": "Every kind of expectation once, with a sentence on what it is for.",
    "deterministic": "Generated ids, names and times that are the same in every run.",
    "lifecycle": "Services that wait for each other, become ready, and leave nothing behind.",
}
"""Name → what it shows."""


def text_of(name: str) -> str:
    """The text of a starter.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    if name not in STARTERS:
        raise KeyError(name)
    return (Path(__file__).parent / f"{name}{ENDING}").read_text(encoding="utf-8")
