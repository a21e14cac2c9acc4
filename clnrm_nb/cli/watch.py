"""``clnrm watch`` at a terminal: one screen, and keys that act at once, also while tests run.

A thin skin over the handle of :func:`clnrm_nb.api.watch`: the engine's thread watches and runs, this one
waits for keys. Without a terminal there are no keys, and the screen is a line for each event.
"""

from __future__ import annotations

import os
import re
import select
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb import api
from clnrm_nb.report.render import wants_color
from clnrm_nb.report.watchscreen import WatchDisplay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clnrm_nb.api import Context, Watch
    from clnrm_nb.report.results import RunResult

__all__ = ["Keys", "wants_watch", "watch"]

_STEP_S: Final = 0.05
_MOST_BYTES: Final = 1_024
_ENTER: Final = ("\r", "\n")
_ERASE: Final = ("\x7f", "\x08")
_ESCAPE: Final = "\x1b"
_SEQUENCE: Final = re.compile("\x1b(?:\\[[0-9;?]*[ -/]*[@-~]|O.)")
"""An arrow or function key: no key of ours, nor is it Escape."""
_ERASE_LINE: Final = "\x15"
_END_OF_INPUT: Final = "\x04"

_PROMPTS: Final = {"p": "only files whose path holds: ", "t": "only tests that match: "}


def wants_watch(command: str, context: Context) -> bool:
    """Whether a command watches: ``watch``, ``run --watch``, and ``run`` where the configuration says so.

    Under ``--ci`` nobody is there to save anything, whatever the configuration says.
    """
    settings = context.settings
    is_asked = settings.cli.watch and (settings.origin("cli.watch") == "command line" or not context.ci)
    return command == "watch" or (command == "run" and is_asked)


def watch(paths: Any, context: Context, options: Mapping[str, Any]) -> RunResult:
    """Watch until a key, Ctrl-C or the end of ``--once``; the last verdict of every test.

    Raises
    ------
    KeyboardInterrupt
        Interrupted twice: the clean-up is left to the reaper.
    """
    chosen = {name: value for name, value in options.items() if name not in ("clear", "digest")}
    output = context.settings.output
    # Where stderr is read line by line, by a machine, nothing is drawn on it.
    has_screen = not options.get("emit_events") and output.log_format != "json"
    has_keys = has_screen and not options.get("once") and sys.stdin.isatty() and sys.stderr.isatty()
    display = WatchDisplay(
        color=wants_color(output.color, sys.stderr),
        emoji=output.emoji,
        clears=bool(options.get("clear")),
        has_keys=has_keys,
    )
    with _keyboard(is_wanted=has_keys) as typed, display if has_screen else nullcontext():
        listener = display if has_screen else None
        handle = api.watch(paths, detach=True, context=context, listener=listener, **chosen)
        assert isinstance(handle, api.Watch)
        try:
            _attend(handle, Keys(handle, display), typed)
        except BaseException as error:
            handle.interrupt()
            handle.wait()
            if not isinstance(error, KeyboardInterrupt):
                raise
    return handle.result


def _attend(handle: Watch, keys: Keys, typed: Callable[[], str | None]) -> None:
    """Pass keys on until watching has ended."""
    while not handle.is_over:
        text = typed()
        if text is not None:
            keys.press(text)


@contextmanager
def _keyboard(*, is_wanted: bool) -> Iterator[Callable[[], str | None]]:
    """What was typed within a short time, if anything, without echo; the terminal is put back in any case."""
    try:
        import termios
        import tty
    except ImportError:  # Windows has no such terminals.
        is_wanted = False
    if not is_wanted:
        yield _pause
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def typed() -> str | None:
        if not select.select([terminal], [], [], _STEP_S)[0]:
            return None
        # An empty read is the end of input: whoever typed is gone.
        return os.read(terminal, _MOST_BYTES).decode(errors="replace") or _END_OF_INPUT

    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        yield typed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pause() -> None:
    select.select([], [], [], _STEP_S)


class Keys:
    """What each key does, and the line that is being typed for some of them.

    Parameters
    ----------
    handle : Watch
    display : WatchDisplay
    """

    def __init__(self, handle: Watch, display: WatchDisplay) -> None:
        self._handle = handle
        self._display = display
        self._asks: Literal["p", "t", "u"] | None = None
        self._line = ""
        self._acts: dict[str, Callable[[], object]] = {
            "a": handle.run_all,
            "f": handle.failed_only,
            "c": handle.clear,
            "q": handle.quit,
            _END_OF_INPUT: handle.quit,
            "w": self._tell_why,
            "?": display.toggle_help,
            "u": self._ask_to_accept,
            "p": lambda: self._ask("p"),
            "t": lambda: self._ask("t"),
            **dict.fromkeys(_ENTER, handle.rerun),
        }

    def press(self, text: str) -> None:
        """Keys as a terminal sends them, several where somebody is quick or pastes."""
        for key in _SEQUENCE.sub("", text):
            if self._asks is None:
                self._acts.get(key, lambda: None)()
            elif self._asks == "u":
                self._answer(key)
            else:
                self._type(key)

    def _ask(self, what: Literal["p", "t"]) -> None:
        self._asks, self._line = what, ""
        self._show()

    def _show(self) -> None:
        assert self._asks is not None
        self._display.ask(f"{_PROMPTS[self._asks]}{self._line}_  (Enter: run, Escape: as before)")

    def _type(self, key: str) -> None:
        if key in _ENTER:
            act = self._handle.only_files if self._asks == "p" else self._handle.only_tests
            act(self._line.strip())
        elif key in _ERASE:
            self._line = self._line[:-1]
        elif key == _ERASE_LINE:
            self._line = ""
        elif key.isprintable():
            self._line += key
        if key in _ENTER or key in (_ESCAPE, _END_OF_INPUT):
            self._leave()
        else:
            self._show()

    def _leave(self) -> None:
        self._asks = None
        self._display.ask(None)

    def _ask_to_accept(self) -> None:
        differing = self._handle.differing()
        if not differing:
            self._display.tell(["no comparison fails: there is nothing to accept"])
            return
        names = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")  # noqa: PLR2004  # As many as fit.
        self._asks = "u"
        self._display.ask(f"accept what is there now as the baseline of {names}? y/n")

    def _answer(self, key: str) -> None:
        if key in ("y", "Y"):
            self._handle.accept()
        self._leave()

    def _tell_why(self) -> None:
        self._display.tell(self._handle.why())
