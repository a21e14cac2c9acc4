"""Keys pressed at a terminal, one by one."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ESCAPE", "INTERRUPT", "QUIT", "keyboard"]

ESCAPE: Final = "\x1b"
INTERRUPT: Final = "\x03"
QUIT: Final = ("q", "\x04", ESCAPE, "")
_MOST_BYTES: Final = 64


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Keys one by one, without echo; what is typed while the next picture is drawn is not lost."""
    try:
        import termios
        import tty
    except ImportError:  # Windows has no such terminals.
        yield click.getchar
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    typed: list[str] = []

    def read_key() -> str:
        if not typed:
            text = os.read(terminal, _MOST_BYTES).decode(errors="replace")
            # An arrow or function key comes as one sequence; it is no key of ours, nor is it Escape.
            typed.extend([text] if text.startswith("\x1b") or not text else text)
        return typed.pop(0)

    try:
        yield read_key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
