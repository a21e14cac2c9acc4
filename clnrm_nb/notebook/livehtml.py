"""The HTML of a run that is going on: scenarios by test and the newest spans, a few kilobytes at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.report.html import STYLE, escape, status, table
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import duration_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.notebook.progress import RunProgress, TestProgress
    from clnrm_nb.report.trace import Trace

__all__ = ["NEWEST_SPANS", "error_bundle", "progress_html", "told"]

NEWEST_SPANS: Final = 6
_TESTS: Final = 12
_SCENARIOS: Final = 6
_LONGEST: Final = 80


def progress_html(progress: RunProgress, newest: Trace | None = None, *, styled: bool = True) -> str:
    """The whole state, at most some 15 kB.

    Parameters
    ----------
    newest : Trace, optional
        The newest spans, listed below.
    styled : bool
        With the style of all our outputs.
    """
    tests = progress.shown(_TESTS)
    rest = len(progress.tests) - len(tests)
    note = f"<p>showing {number_text(len(tests))} of {number_text(len(progress.tests), 'test')}</p>"
    content = [
        f"<style>{STYLE}</style>" if styled else "",
        f"<div><b>{escape(progress.headline())}</b></div>",
        # Milestones only: a reader that speaks is not interrupted by every span.
        f"<div role=status aria-live=polite class=q>{escape(progress.milestone)}</div>",
        _bar(progress),
        table("", ("test", "status", "scenarios", "spans", "time"), (_row(progress, t) for t in tests)),
        note if rest > 0 else "",
        table("newest spans", ("span", "service", "duration"), _spans(newest)) if newest else "",
    ]
    return f'<div class=clnrm lang=en role=region aria-label="run in progress">{"".join(content)}</div>'


def told(error: BaseException) -> tuple[str, str]:
    """Kind and sentence of an error, and its hint if it has one: our errors end with it on its own line."""
    sentence, _, hint = f"{type(error).__name__}: {error}".partition("\n")
    return sentence, hint.strip()


def error_bundle(error: BaseException) -> dict[str, str]:
    """What stands where a run stood that could not be carried out."""
    sentence, hint = told(error)
    below = f"<p>{escape(hint, 1_000)}</p>" if hint else ""
    content = f"<style>{STYLE}</style><div><b class=bad>{escape(sentence, 2_000)}</b></div>{below}"
    return {
        "text/plain": f"{sentence}\n  {hint}".rstrip(),
        "text/html": f'<div class=clnrm lang=en role=alert aria-label="error of a run">{content}</div>',
    }


def _bar(progress: RunProgress) -> str:
    share = progress.n_ended / progress.total if progress.total else 0.0
    return (
        f"<svg role=img aria-label='{progress.n_ended} of {progress.total} tests' style='width:100%'>"
        "<rect width=100% fill-opacity=.2 style='fill-opacity:.2' />"
        f"<rect width={100 * share:.1f}% /></svg>"
    )


def _row(progress: RunProgress, test: TestProgress) -> str:
    if test.status == "running":
        time = duration_text(progress.running_s(test) * 1e3)
    else:
        time = duration_text(test.duration_ms) if test.duration_ms is not None else ""
    return (
        f"<tr><th scope=row dir=auto>{escape(test.id, _LONGEST)}</th><td>{status(test.status)}</td>"
        f"<td dir=auto>{_scenarios(test)}</td><td class=n>{number_text(test.spans)}</td>"
        f"<td class=n>{time}</td></tr>"
    )


def _scenarios(test: TestProgress) -> str:
    ended = list(test.scenarios.items())
    words = [f"{UNICODE.status.get(word, '')} {name}: {word}" for name, word in ended[-_SCENARIOS:]]
    if len(ended) > _SCENARIOS:
        words.insert(0, f"{len(ended) - _SCENARIOS} more")
    if test.status == "running" and test.doing and not words:
        words.append(test.doing)
    return "<br>".join(escape(word, _LONGEST) for word in words)


def _spans(newest: Trace | None) -> Iterator[str]:
    if newest is None:
        return
    layout = newest.layout
    for place in list(range(len(layout)))[-NEWEST_SPANS:]:
        spans, row = layout.table(place), layout.row[place]
        duration_ns = layout.duration_ns(place)
        yield (
            f"<tr><th scope=row dir=auto>{escape(spans.name[row], _LONGEST)}</th>"
            f"<td dir=auto>{escape(spans.resource[row].service, _LONGEST)}</td>"
            f"<td class=n>{duration_text(None if duration_ns is None else duration_ns / 1e6)}</td></tr>"
        )
