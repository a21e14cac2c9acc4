"""What a run is doing, on stderr while it does it.

On a terminal a few lines that redraw themselves; elsewhere a plain line for each milestone, so that a CI log
says where a run stood when it died. Fed by the events of the executor on its own thread: taking one in is a
few assignments, drawing happens on rich's thread.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TextIO

from clnrm_nb.codes import STATUSES
from clnrm_nb.report.signs import ASCII, STYLES, UNICODE
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console, RenderableType

    from clnrm_nb.executor.events import Event

__all__ = ["LiveProgress", "going_on"]

_REDRAWS_PER_S: Final = 8
_TESTS_SHOWN: Final = 8
_RATE_WINDOW_S: Final = 2.0
_LOUD: Final = frozenset({"failed", "error", "incomplete", "flaky", "interrupted"})


@dataclass(slots=True)
class _Running:
    """A test that has started."""

    since_s: float
    doing: str = "starting services"
    spans: int = 0
    ready: list[str] = field(default_factory=list)


def going_on(event: Event) -> str:
    """What ``test.slow``, ``test.retry`` and ``test.repeat`` say, in words.

    Examples
    --------
    >>> from clnrm_nb.executor.events import Event
    >>> going_on(Event("test.retry", "r1", test="a", status="failed", data={"attempt": 2, "pause_ms": 180.0}))
    'failed, attempt 2 in 180 ms'
    """
    if event.event == "test.slow":
        return f"running for {duration_text(event.data.get('running_s', 0) * 1e3)}"
    if event.event == "test.retry":
        pause = duration_text(event.data.get("pause_ms", 0))
        return f"{event.status}, attempt {event.data.get('attempt')} in {pause}"
    return f"run {event.data.get('number')} {event.status}"


class LiveProgress:
    """A listener for the events of a run; a context manager around the run.

    Parameters
    ----------
    stream : TextIO, optional
        Default: stderr.
    color : bool
        Colours, on a terminal.
    emoji : bool
        False: ASCII signs only.
    is_live : bool, optional
        Redraw in place; default: whether `stream` is a terminal.
    verbose : bool
        Plain lines for services and steps too.
    clock : callable
        Seconds; for tests.

    Examples
    --------
    >>> import io
    >>> from clnrm_nb.executor.events import Event
    >>> shown = io.StringIO()
    >>> with LiveProgress(shown) as progress:
    ...     progress(Event("test.end", "r1", test="a.clnrm.toml", status="passed"))
    >>> shown.getvalue().split()[:2]
    ['✓', 'passed']
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        color: bool = False,
        emoji: bool = True,
        is_live: bool | None = None,
        verbose: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._color = color
        self._signs = UNICODE if emoji else ASCII
        self._is_live = self._stream.isatty() if is_live is None else is_live
        self._is_verbose = verbose
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s = clock()
        self._queued = 0
        self._spans = 0
        self._statuses: Counter[str] = Counter()
        self._running: dict[str, _Running] = {}
        self._arrivals: deque[tuple[float, int]] = deque()
        self._live: Any = None
        self._console: Console | None = None

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
                refresh_per_second=_REDRAWS_PER_S,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        with self._lock:
            told = self._take(event)
        if told:
            self._say(*told)

    # ------------------------------------------------------------------------------------------- events

    def _take(self, event: Event) -> tuple[str, str] | None:
        """Note an event; answer with a line worth a place in the log, and its style."""
        handler = self._HANDLERS.get(event.event)
        return None if handler is None else handler(self, event)

    def _run_started(self, event: Event) -> tuple[str, str] | None:
        resume = event.data.get("resume")
        if resume is None:
            return None
        if resume["run"] is None:
            return "nothing to resume: this is a run from the start", "dim"
        taken = number_text(resume["taken_over"], "test")
        return f"resuming run {resume['run']}: {taken} of {event.data.get('tests')} have their verdict", "dim"

    def _test_queued(self, _: Event) -> None:
        self._queued += 1

    def _test_started(self, event: Event) -> tuple[str, str] | None:
        self._running[event.test or ""] = _Running(self._clock())
        return self._detail(f"started {event.test}")

    def _scenario_ended(self, event: Event) -> None:
        if running := self._running.get(event.test or ""):
            running.doing = f"{event.scenario}: {event.status}"

    def _found(self, event: Event) -> tuple[str, str] | None:
        if event.data.get("severity") != "error" and not self._is_verbose:
            return None
        word = str(event.data.get("severity", "info"))
        return f"{word} {event.data.get('code', '')} {event.data.get('message', '')}", word

    def _detail(self, text: str) -> tuple[str, str] | None:
        return (text, "dim") if self._is_verbose and not self._is_live else None

    def _test_goes_on(self, event: Event) -> tuple[str, str] | None:
        """What a log should hold before the test has ended: that it takes long, failed, or has been run."""
        doing = going_on(event)
        if running := self._running.get(event.test or ""):
            running.doing = doing
        is_news = event.event != "test.repeat" or self._is_verbose
        return (f"{event.test}: {doing}", "dim") if is_news else None

    def _service_ready(self, event: Event) -> tuple[str, str] | None:
        service = str(event.data.get("service", ""))
        if running := self._running.get(event.test or ""):
            running.ready.append(service)
            running.doing = f"{service} ready"
        took = duration_text(event.data.get("duration_ms")) if "duration_ms" in event.data else ""
        return self._detail(f"{event.test}: service {service} ready {took}".rstrip())

    def _step_ended(self, event: Event) -> tuple[str, str] | None:
        step = str(event.data.get("name", event.data.get("step", "")))
        where = f"{event.scenario} " if event.scenario else ""
        if running := self._running.get(event.test or ""):
            running.doing = f"{where}{step}: {event.status}"
        return self._detail(f"{event.test}: {where}{step} {event.status}")

    def _count_spans(self, event: Event) -> None:
        count = int(event.data.get("count", 1))
        self._spans += count
        if self._is_live:
            self._arrivals.append((self._clock(), count))
        if running := self._running.get(event.test or ""):
            running.spans += count

    def _test_ended(self, event: Event) -> tuple[str, str] | None:
        status = event.status or "passed"
        running = self._running.pop(event.test or "", None)
        self._statuses[status] += 1
        if self._is_live and status not in _LOUD:
            return None
        took = event.data.get("duration_ms")
        if took is None and running is not None:
            took = (self._clock() - running.since_s) * 1_000
        spans = f", {number_text(running.spans, 'span')}" if running and running.spans else ""
        sign = self._signs.status.get(status, "")
        tail = f"  {duration_text(took)}{spans}" if took is not None else ""
        return f"{sign} {status} {event.test}{tail}", status

    _HANDLERS: ClassVar[dict[str, Callable[[LiveProgress, Event], tuple[str, str] | None]]] = {
        "run.start": _run_started,
        "test.queued": _test_queued,
        "test.start": _test_started,
        "test.slow": _test_goes_on,
        "test.retry": _test_goes_on,
        "test.repeat": _test_goes_on,
        "service.ready": _service_ready,
        "step.end": _step_ended,
        "scenario.end": _scenario_ended,
        "span": _count_spans,
        "test.end": _test_ended,
        "diagnostic": _found,
    }

    # ---------------------------------------------------------------------------------------- appearance

    def _say(self, text: str, style: str) -> None:
        shown = one_line(text)
        if self._console is not None and self._live is not None:
            from rich.text import Text

            self._console.print(Text(shown, style=STYLES.get(style, "")))
            return
        self._stream.write(f"{shown}\n")
        self._stream.flush()

    def _draw(self) -> RenderableType:
        from rich.text import Text

        with self._lock:
            lines = self._lines()
        width = self._console.width if self._console is not None else 100
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("\n".join(clipped(one_line(line), width, self._signs.ellipsis) for line in lines))
        return text

    def _lines(self) -> list[str]:
        now = self._clock()
        done = sum(self._statuses.values())
        counts = ", ".join(f"{self._statuses[word]} {word}" for word in STATUSES if self._statuses[word])
        dot = f" {self._signs.dot} "
        head = [f"{done}/{max(self._queued, done)} tests{f' ({counts})' if counts else ''}"]
        head.append(f"{number_text(self._spans, 'span')}, {self._rate(now):,.0f}/s")
        head.append(duration_text((now - self._began_s) * 1_000))
        lines = [dot.join(head)]
        for test, running in list(self._running.items())[:_TESTS_SHOWN]:
            parts = [f"  {test}", running.doing, duration_text((now - running.since_s) * 1_000)]
            if running.spans:
                parts.append(number_text(running.spans, "span"))
            lines.append(dot.join(parts))
        left = len(self._running) - _TESTS_SHOWN
        return [*lines, f"  and {left} more"] if left > 0 else lines

    def _rate(self, now: float) -> float:
        """Spans a second over the last two."""
        while self._arrivals and self._arrivals[0][0] < now - _RATE_WINDOW_S:
            self._arrivals.popleft()
        return sum(count for _, count in self._arrivals) / _RATE_WINDOW_S
