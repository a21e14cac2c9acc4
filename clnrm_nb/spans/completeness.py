"""What is said about a trace at its end: is it whole, and what was refused, repeated or lost (in numbers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

__all__ = ["findings"]

_SHOWN = 3
"""Examples named in one finding."""


def findings(
    *,
    test_id: str,
    n_orphans: int,
    killed: Sequence[str],
    n_lost_spans: int,
    n_dropped_parts: int,
    failed_requests: Counter[str],
    n_not_sent_again: int,
    refused: Counter[str],
    conflicts: Sequence[tuple[str, str]],
    n_stray: int,
) -> tuple[Diagnostic, ...]:
    """The findings about one test's spans, at most one of each code.

    Parameters
    ----------
    test_id : str
    n_orphans : int
        Spans whose parent never came.
    killed : sequence of str
        Services that had to be killed.
    n_lost_spans, n_dropped_parts : int
        Spans known to be lost; attributes, events and links the SDKs say they dropped.
    failed_requests, refused : Counter
        Export requests that could not be read, and single records that were not taken, by reason.
    n_not_sent_again : int
        Export requests that were put off or cut off and never came whole.
    conflicts : sequence of (str, str)
        Names kept and given up of spans that came twice with other content.
    n_stray : int
        Spans under unknown tokens.

    Returns
    -------
    tuple of Diagnostic
    """
    reasons = []
    if n_orphans:
        reasons.append(_count(n_orphans, "orphan"))
    if killed:
        names = ", ".join(f"`{name}`" for name in killed)
        reasons.append(f"service{'s' if len(killed) > 1 else ''} {names} had to be killed")
    if n_lost_spans:
        reasons.append(f"{_count(n_lost_spans, 'span')} dropped by the exporter")
    if n_dropped_parts:
        parts = _count(n_dropped_parts, "attribute, event or link", "attributes, events or links")
        reasons.append(f"{parts} dropped by the SDK")
    if failed_requests:
        reasons.append(
            f"{_count(failed_requests.total(), 'export request')} lost ({_listed(failed_requests)})"
        )
    if n_not_sent_again:
        requests = _count(n_not_sent_again, "export request")
        reasons.append(f"{requests} put off or cut off and not sent again")
    found = []
    if refused:
        text = f"{_count(refused.total(), 'span-like record')} refused: {_listed(refused)}"
        found.append(Diagnostic("CLN609", text, test=test_id))
    if conflicts:
        found.append(Diagnostic("CLN613", _conflict_text(conflicts), test=test_id))
    if reasons:
        found.append(Diagnostic("CLN614", "; ".join(reasons), test=test_id))
    if n_stray:
        text = f"{_count(n_stray, 'span')} came under an unknown token"
        found.append(Diagnostic("CLN615", text, test=test_id))
    return tuple(found)


def _conflict_text(conflicts: Sequence[tuple[str, str]]) -> str:
    text = (
        f"{_count(len(conflicts), 'span')} came twice with other content; the one with the later end is kept"
    )
    collisions = [f"`{kept}` and `{lost}`" for kept, lost in conflicts if kept != lost]
    if collisions:
        text += f"; one id stands for different spans: {'; '.join(collisions[:_SHOWN])}"
    return text


def _listed(reasons: Counter[str]) -> str:
    parts = [f"{reason} ({count})" for reason, count in sorted(reasons.items())]
    return ", ".join(parts[:_SHOWN]) + (
        f" and {len(parts) - _SHOWN} more reasons" if len(parts) > _SHOWN else ""
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
