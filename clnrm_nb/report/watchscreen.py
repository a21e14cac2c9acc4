"""The one screen of ``clnrm watch``: what is wrong first, then what the last change did and did not do.

Lines are made from a :class:`~clnrm_nb.report.watchstate.WatchState` for any size of terminal; what is least
needed goes first where there is no room. :class:`WatchDisplay` puts them on a terminal, or writes one plain
line an event where there is none.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import ASCII, STYLES, UNICODE, Signs
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line
from clnrm_nb.report.timings import timing_lines
from clnrm_nb.report.watchlines import event_lines, names_text, place_text
from clnrm_nb.report.watchstate import WatchState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console, RenderableType

    from clnrm_nb.executor.events import Event
    from clnrm_nb.report.watchstate import TestLine

__all__ = ["KEYS", "WatchDisplay", "screen_lines"]

KEYS: Final = (
    ("a", "all", "run all tests again"),
    ("f", "failed", "only tests that do not pass, until pressed again"),
    ("p", "file", "only test files whose path holds a text"),
    ("t", "test", "only tests and scenarios that a -k expression selects"),
    ("u", "accept", "make the latest traces the baselines of failing comparisons"),
    ("c", "clear", "clear all filters"),
    ("w", "why", "why tests ran or did not"),
    ("enter", "again", "run again what ran last"),
    ("?", "help", "show or hide what the keys do"),
    ("q", "quit", "stop watching"),
)

_REDRAW_S: Final = 0.25
_LEAST_LINES: Final = 8
_NOT_RUN: Final = 4
_STYLE_OF_LEVEL: Final = {"error": "error", "warning": "warning", "info": "dim"}


# ----------------------------------------------------------------------------------------------- the screen


def screen_lines(
    state: WatchState,
    *,
    height: int = 24,
    signs: Signs = UNICODE,
    prompt: str | None = None,
    has_keys: bool = False,
    help_is_shown: bool = False,
    told: Sequence[str] = (),
) -> list[Line]:
    """Everything, in at most `height` lines.

    Parameters
    ----------
    prompt : str, optional
        What a person is being asked, in place of the keys.
    has_keys : bool
        Whether somebody can press any.
    told : sequence of str
        An answer a person asked for (``w``), shown until the next change.
    """
    foot = _foot(prompt, has_keys=has_keys, help_is_shown=help_is_shown)
    body = [_head(state, signs), *_filters(state, signs)]
    wrong = _findings(state, signs) + _failures(state, signs)
    rest = [*_notes(state), *[line((one_line(text), "")) for text in told]]
    rest += [*_reaction(state, signs), *_running(state, signs), *_totals(state), *_timings(state)]
    room = max(height, _LEAST_LINES) - len(body) - len(foot)
    # At least a third of the screen says what the change did, however much is wrong.
    kept = max(room - len(wrong), room // 3, 1)
    return body + _cut(wrong, room - min(len(rest), kept), signs) + _cut(rest, kept, signs) + foot


def _cut(lines: list[Line], room: int, signs: Signs) -> list[Line]:
    if len(lines) <= room:
        return lines
    left = len(lines) - max(room - 1, 0)
    return [*lines[: max(room - 1, 0)], line((f"{signs.ellipsis} {left} more", "dim"))]


def _head(state: WatchState, signs: Signs) -> Line:
    words: dict[str, tuple[str, str]] = {
        "waiting": ("waiting for changes", "passed"),
        "running": (f"running {state.n_ended}/{state.n_going}", "warning"),
        "ended": ("ended", "dim"),
    }
    word, style = words.get(state.phase, (state.phase, "warning"))
    if state.phase == "waiting" and (state.bad or state.findings_of("error")):
        style = "failed"
    dot = f" {signs.dot} "
    tail = [number_text(state.n_tests, "test"), *(["polling"] if state.mode == "polling" else [])]
    return line(("clnrm watch", "bold"), dot, (word, style), f"{dot}{dot.join(tail)}")


def _filters(state: WatchState, signs: Signs) -> list[Line]:
    if not state.filters:
        return []
    told = [
        "failing tests" if name == "failed" else f"{name} {one_line(str(value))}"
        for name, value in state.filters.items()
    ]
    return [line(("only ", "dim"), (f" {signs.dot} ".join(told), "warning"), ("  (c clears)", "dim"))]


def _findings(state: WatchState, signs: Signs) -> list[Line]:
    """Errors before warnings."""
    shown = []
    for severity in ("error", "warning"):
        for finding in state.findings_of(severity):
            sign = signs.status.get(severity, "")
            text = f"  {one_line(place_text(finding))}  {one_line(str(finding.get('message', '')))}"
            shown.append(line((f"{sign} {severity} {finding.get('code', '')}", severity), text))
    return shown


def _failures(state: WatchState, signs: Signs) -> list[Line]:
    invalid = {str(finding.get("file")) for finding in state.findings_of("error")}
    return [
        line((_status(test, signs), test.status), f" {one_line(test.id)}  {one_line(test.why)}".rstrip())
        for test in state.bad
        # What is wrong with a file that cannot be read is said above, line by line.
        if not (test.status == "error" and test.id.partition("[")[0] in invalid)
    ]


def _status(test: TestLine, signs: Signs) -> str:
    return f"{signs.status.get(test.status, '')} {test.status}".strip()


def _notes(state: WatchState) -> list[Line]:
    return [line((one_line(text), _STYLE_OF_LEVEL.get(level, ""))) for level, text in state.notes]


def _reaction(state: WatchState, signs: Signs) -> list[Line]:
    reaction, dot = state.reaction, f" {signs.dot} "
    lines: list[Line] = []
    if reaction.files:
        times = [
            f"{word} {duration_text(spent)}"
            for word, spent in (
                ("diagnostics", reaction.diagnosed_ms),
                ("verdict", reaction.judged_ms),
            )
            if spent is not None
        ]
        lines.append(line(("changed  ", "dim"), dot.join([names_text(reaction.files), *times])))
    ran = [state.tests[test] for test in reaction.ran if test in state.tests]
    told = [test for test in ran if test.status or test.since_s is not None]
    executed = [test for test in told if test.status != "cached"]
    cached = [(test.id, test.why or "unchanged") for test in told if test.status == "cached"]
    if executed:
        lines.append(line(("ran      ", "dim"), names_text([_brief(test) for test in executed])))
    elif reaction.planned_ms is not None and not reaction.ran:
        lines.append(line(("ran      ", "dim"), "nothing"))
    not_run = [*[(name, f"cached: {why}") for name, why in cached], *reaction.not_run]
    total = reaction.not_run_total + len(cached)
    return lines + _not_run(not_run, total, signs)


def _not_run(not_run: Sequence[tuple[str, str]], total: int, signs: Signs) -> list[Line]:
    """What was not run and why, tests with one reason together."""
    by_reason: dict[str, list[str]] = {}
    for name, why in not_run:
        by_reason.setdefault(why, []).append(name)
    shown: list[Line] = []
    for why, names in list(by_reason.items())[:_NOT_RUN]:
        who = one_line(names[0]) if len(names) == 1 else f"{len(names)} tests"
        shown.append(line(("not run  " if not shown else "         ", "dim"), f"{who}: {one_line(why)}"))
    known = sum(len(names) for names in list(by_reason.values())[:_NOT_RUN])
    if total > known and shown:
        shown.append(line(("         ", "dim"), (f"{signs.ellipsis} and {total - known} more", "dim")))
    return shown


def _brief(test: TestLine) -> str:
    if test.since_s is not None:
        return f"{test.id} (running)"
    took = f" {duration_text(test.duration_ms)}" if test.duration_ms is not None else ""
    return f"{test.id} ({test.status}{took})"


def _running(state: WatchState, signs: Signs) -> list[Line]:
    lines = []
    for test in state.running:
        parts = [one_line(test.id), one_line(test.doing), duration_text(state.running_ms(test))]
        lines.append(line(("running  ", "dim"), f" {signs.dot} ".join(filter(None, parts))))
    return lines


def _totals(state: WatchState) -> list[Line]:
    counts = state.counts()
    return [line(("state    ", "dim"), counts)] if counts else []


def _timings(state: WatchState) -> list[Line]:
    return timing_lines(state.reaction.timings) if state.reaction.timings else []


def _foot(prompt: str | None, *, has_keys: bool, help_is_shown: bool) -> list[Line]:
    if prompt is not None:
        return [line((prompt, "bold"))]
    if not has_keys:
        return []
    if help_is_shown:
        return [line((f"{key:>6}", "bold"), f"  {tip}") for key, _, tip in KEYS]
    keys: Line = []
    for key, word, _ in KEYS:
        # All the others fit into 80 columns.
        if key != "enter":
            keys += [(key, "bold"), (f" {word}  ", "dim")]
    return [keys]


# ---------------------------------------------------------------------------------------------- the display


class WatchDisplay:
    """A listener for the events of a watcher; a context manager around it.

    Events come on the engine's thread; drawing is done on a thread of its own, at once after an event that
    matters and else four times a second, so that nothing waits for a slow terminal.

    Parameters
    ----------
    stream : TextIO, optional
        Default: stderr.
    color : bool
    emoji : bool
        False: ASCII signs only.
    is_live : bool, optional
        One screen, redrawn; default: whether `stream` is a terminal.
    clears : bool
        Take the whole terminal, and give it back at the end (``--clear``).
    has_keys : bool
        Whether somebody can press any.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        color: bool = False,
        emoji: bool = True,
        is_live: bool | None = None,
        clears: bool = False,
        has_keys: bool = False,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._color = color
        self._signs = UNICODE if emoji else ASCII
        self._is_live = self._stream.isatty() if is_live is None else is_live
        self._clears = clears
        self.has_keys = has_keys
        self.state = WatchState()
        self._prompt: str | None = None
        self._help_is_shown = False
        self._told: list[str] = []
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._is_over = False
        self._live: Any = None
        self._console: Console | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._is_live:
            from rich.console import Console
            from rich.live import Live

            self._console = Console(
                file=self._stream, force_terminal=True, no_color=not self._color, highlight=False, emoji=False
            )
            self._live = Live(
                console=self._console,
                get_renderable=self._draw,
                auto_refresh=False,
                screen=self._clears,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
            self._thread = threading.Thread(target=self._redraw, name="clnrm_nb watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self.has_keys, self._prompt, self._help_is_shown = False, None, False
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        with self._lock:
            self.state.take(event)
            if event.event == "watch.change":
                self._told = []
        if self._is_live:
            self._changed.set()
            return
        for text in event_lines(event, self._signs):
            self._stream.write(f"{one_line(text)}\n")
        self._stream.flush()

    # ------------------------------------------------------------------------------------ for the keyboard

    def ask(self, prompt: str | None) -> None:
        """Show what a person is asked, and what was typed so far; ``None``: the keys again."""
        self._prompt = None if prompt is None else one_line(prompt)
        self._changed.set()

    def tell(self, texts: Sequence[str]) -> None:
        """Show an answer until the next change."""
        with self._lock:
            self._told = list(texts)
        self._changed.set()

    def toggle_help(self) -> None:
        """Show or hide what the keys do."""
        self._help_is_shown = not self._help_is_shown
        self._changed.set()

    # ------------------------------------------------------------------------------------------- drawing

    def _redraw(self) -> None:
        while not self._is_over:
            self._changed.wait(_REDRAW_S if self.state.is_running else None)
            self._changed.clear()
            if not self._is_over:
                self._live.refresh()

    def _draw(self) -> RenderableType:
        from rich.text import Text

        assert self._console is not None
        size = self._console.size
        with self._lock:
            lines = screen_lines(
                self.state,
                height=size.height - 1,
                signs=self._signs,
                prompt=self._prompt,
                has_keys=self.has_keys,
                help_is_shown=self._help_is_shown,
                told=self._told,
            )
        text = Text(no_wrap=True, overflow="crop")
        for number, parts in enumerate(lines):
            room = size.width - 1
            for part, style in parts:
                shown = clipped(part, room, self._signs.ellipsis)
                text.append(shown, style=STYLES.get(style, "") if self._color else "")
                room -= len(shown)
                if room <= 0 or shown != part:
                    break
            if number < len(lines) - 1:
                text.append("\n")
        return text
