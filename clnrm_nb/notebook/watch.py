"""``%clnrm watch``: a live picture below its cell, in each place a watcher can be started from.

With a person in front of it the cell goes on until it is interrupted; with ``--detach`` it ends at once, its
value is a live handle, and the picture goes on. Where nobody looks (papermill and its kind) nobody saves
anything either, so the tests are run once and the notebook goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb import api
from clnrm_nb.notebook.live import LinesLive, TerminalLive
from clnrm_nb.notebook.session import place
from clnrm_nb.report.html import escape, fragment
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.watchscreen import WatchDisplay, screen_lines
from clnrm_nb.report.watchstate import WatchState

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api import Context, Event, Watch
    from clnrm_nb.report.results import RunResult

__all__ = ["WatchView", "live_watchers", "open_watch", "stop_watchers", "watch_html"]

_REDRAW_S: Final = 0.25
_LINES: Final = 30
_STEP_S: Final = 0.05
_STOP_S: Final = 5.0
_BAD: Final = frozenset({"failed", "error"})
_ODD: Final = frozenset({"incomplete", "flaky", "warning"})

_LIVE: Final[dict[tuple[str, ...], Watch]] = {}
"""Detached watchers of this kernel by what they watch: a cell that is run again takes its own place."""


def live_watchers() -> list[Watch]:
    """Detached watchers that have not ended."""
    return [one for one in _LIVE.values() if not one.is_over]


def stop_watchers() -> None:
    """End all of them."""
    for one in live_watchers():
        one.stop(_STOP_S)
    _LIVE.clear()


def watch_html(state: WatchState) -> str:
    """The whole picture, a few kilobytes: the same lines as on a terminal."""
    lines = screen_lines(state, height=_LINES)
    shown = ["".join(_part(text, style) for text, style in parts) for parts in lines[1:]]
    head = f"<div role=status aria-live=polite><b>{escape(to_plain(lines[:1]).strip())}</b></div>"
    body = "\n".join(shown)
    return fragment("watching", f"{head}<pre>{body}</pre>" if shown else head)


def _part(text: str, style: str) -> str:
    kind = "bad" if style in _BAD else "odd" if style in _ODD else "q" if style == "dim" else ""
    return f"<span class={kind}>{escape(text, 1_000)}</span>" if kind else escape(text, 1_000)


class WatchView:
    """HTML in place, drawn by the engine's loop at most four times a second; a listener."""

    def __init__(self) -> None:
        from IPython.display import display

        self.state = WatchState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no annotation

    def _bundle(self) -> dict[str, str]:
        return {
            "text/plain": to_plain(screen_lines(self.state, height=_LINES), 100),
            "text/html": watch_html(self.state),
        }

    def __call__(self, event: Event) -> None:
        """Take in one event, and draw soon."""
        self.state.take(event)
        if event.event == "watch.end":
            self._draw()
        elif self._timer is None:
            self._loop = asyncio.get_running_loop()
            # What is wrong is shown at once; everything else may wait for more to come.
            wait_s = 0.0 if event.event == "watch.diagnostics" else _REDRAW_S
            self._timer = self._loop.call_later(wait_s, self._draw)

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._handle.update(self._bundle(), raw=True)
        if self.state.is_running and self._loop is not None:
            self._timer = self._loop.call_later(_REDRAW_S, self._draw)

    def replace(self, durable: object | None) -> bool:
        """Put the result where the view stood; ``None``: nothing."""
        if durable is None:
            self._handle.update({"text/plain": ""}, raw=True)
        else:
            self._handle.update(durable)
        return True


def open_watch(
    arguments: tuple[Any, ...], options: dict[str, Any], *, context: Context, shell: InteractiveShell | None
) -> tuple[RunResult | Watch, WatchView | None]:
    """Watch as this place allows it.

    Returns
    -------
    tuple
        The result, with ``--detach`` and somebody there the handle; and the view that a result may replace.
    """
    where = place(shell)
    is_live = context.settings.notebook.live
    is_detached = bool(options.pop("detach", False))
    for name in ("clear", "digest"):
        options.pop(name, None)
    if where == "headless" or options.get("once"):
        return _once(arguments, options, context, where=where), None
    view = WatchView() if is_live and where == "notebook" else None
    if where == "terminal" and is_live and not is_detached:
        with WatchDisplay() as display:
            return _until_interrupted(_opened(arguments, options, context, display)), None
    watch = _opened(arguments, options, context, view)
    if is_detached:
        return watch, view
    return _until_interrupted(watch), view


def _once(arguments: tuple[Any, ...], options: dict[str, Any], context: Context, *, where: str) -> RunResult:
    options["once"] = True
    listener: Any = None
    if where == "headless":
        print("nobody is here to save anything: the tests are run once", flush=True)  # noqa: T201  # A log line of a run nobody watches.
        listener = LinesLive() if context.settings.notebook.live else None
    elif where == "terminal":
        listener = TerminalLive()
    try:
        result = api.watch(*arguments, context=context, listener=listener, **options)
    finally:
        if isinstance(listener, TerminalLive):
            listener.end(None)
    assert not isinstance(result, api.Watch)
    return result


def _opened(arguments: tuple[Any, ...], options: dict[str, Any], context: Context, listener: Any) -> Watch:
    """A live handle, in place of an earlier one of the same paths."""
    words = arguments[0] if arguments else (".",)
    key = (words,) if isinstance(words, str) else tuple(str(word) for word in words)
    earlier = _LIVE.pop(key, None)
    if earlier is not None and not earlier.is_over:
        earlier.stop(_STOP_S)
    watch = api.watch(*arguments, detach=True, context=context, listener=listener, **options)
    assert isinstance(watch, api.Watch)
    _LIVE[key] = watch
    return watch


def _until_interrupted(watch: Watch) -> RunResult:
    """Wait for the end; an interrupt is the way to end it."""
    try:
        while not watch.is_over:
            try:
                watch.wait(_STEP_S)
            except TimeoutError:
                continue
    except KeyboardInterrupt:
        return watch.stop(_STOP_S)
    return watch.wait()
