"""What watching says where there is no screen to draw on: a plain line for whatever matters, for a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import duration_text, number_text, one_line
from clnrm_nb.report.timings import timing_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.executor.events import Event

__all__ = ["event_lines", "names_text", "place_text"]

_NOT_RUN: Final = 4
"""Most lines about tests that were not run."""


def event_lines(event: Event, signs: Signs = UNICODE) -> list[str]:
    """What an event is worth in a log; nothing for most.

    Examples
    --------
    >>> from clnrm_nb.executor.events import Event
    >>> event_lines(Event("watch.start", "w1", data={"tests": 2}))
    ['watching 2 tests']
    """
    if event.event == "watch.result":
        return _result(event.data, signs)
    teller = _TELLERS.get(event.event)
    return [one_line(text) for text in teller(event.data)] if teller else []


def names_text(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    shown = ", ".join(one_line(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def place_text(finding: Mapping[str, Any]) -> str:
    """``file:line:column`` of a finding, as far as it is known."""
    return ":".join(str(finding[key]) for key in ("file", "line", "column") if finding.get(key) is not None)


def _start(data: Mapping[str, Any]) -> list[str]:
    mode = " (polling)" if data.get("mode") == "polling" else ""
    return [f"watching {number_text(int(data.get('tests', 0)), 'test')}{mode}"]


def _change(data: Mapping[str, Any]) -> list[str]:
    return [f"changed {names_text([str(each['file']) for each in data.get('files', ())])}"]


def _diagnostics(data: Mapping[str, Any]) -> list[str]:
    return [
        f"{place_text(finding)}: {finding.get('severity')} {finding.get('code')} {finding.get('message')}"
        for finding in data.get("findings", ())
    ]


def _plan(data: Mapping[str, Any]) -> list[str]:
    run = data.get("run", ())
    lines = [f"running {number_text(len(run), 'test')}: {names_text(run)}" if run else "nothing to run"]
    lines += [f"not run {each['test']}: {each['reason']}" for each in data.get("not_run", ())[:_NOT_RUN]]
    left = int(data.get("not_run_total", 0)) - _NOT_RUN
    return [*lines, *([f"not run: {left} more"] if left > 0 else [])]


def _result(data: Mapping[str, Any], signs: Signs) -> list[str]:
    lines = []
    for test in data.get("tests", ()):
        sign = signs.status.get(test["status"], "")
        tail = f"  {test['reason']}" if test.get("reason") else ""
        lines.append(one_line(f"{sign} {test['status']} {test['id']}{tail}"))
    took = data.get("reaction_ms")
    lines += [f"verdict after {duration_text(took)}"] if took is not None else []
    if timings := data.get("timings"):
        lines += to_plain(timing_lines(timings)).splitlines()
    return lines


def _filter(data: Mapping[str, Any]) -> list[str]:
    chosen = ", ".join(
        "failed" if value is True else f"{key} {value}" for key, value in data.items() if value
    )
    return [f"only {chosen}" if chosen else "no filters"]


def _note(data: Mapping[str, Any]) -> list[str]:
    return [f"{data.get('level', 'info')}: {data['text']}"]


def _end(data: Mapping[str, Any]) -> list[str]:
    return [f"watching ended: {data.get('reason')}"]


_TELLERS: Final[dict[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "watch.start": _start,
    "watch.change": _change,
    "watch.diagnostics": _diagnostics,
    "watch.plan": _plan,
    "watch.filter": _filter,
    "watch.note": _note,
    "watch.end": _end,
}
