"""The side list: everything known about one span, old beside new where there are two sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.report.html import escape, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.notebook.views.rows import Fact

__all__ = ["facts_html"]

_MOST: Final = 150
_LONGEST: Final = 600


def facts_html(title: str, facts: Sequence[Fact], *, is_diff: bool) -> str:
    """A table of `facts` under `title` (plain text); of a diff what differs comes first and is marked."""
    header = ("", "key", "baseline", "current") if is_diff else ("key", "value")
    ordered = sorted(facts, key=lambda fact: is_diff and fact.section != "edits" and fact.old == fact.new)
    rows = []
    section = None
    for fact in ordered[:_MOST]:
        if fact.section != section:
            section = fact.section
            rows.append(f"<tr><th scope=colgroup colspan={len(header)}><b>{escape(section)}</b></th></tr>")
        rows.append(_two_sided(fact) if is_diff else _one_sided(fact))
    rest = f"<p>showing {_MOST} of {len(facts)} facts</p>" if len(facts) > _MOST else ""
    return f"<h4 dir=auto>{escape(title, 200)}</h4>{table('', header, rows)}{rest}"


def _one_sided(fact: Fact) -> str:
    value = escape(fact.new or "", _LONGEST)
    return f"<tr><th scope=row>{escape(fact.key, 120)}</th><td dir=auto>{value}</td></tr>"


def _two_sided(fact: Fact) -> str:
    if fact.old == fact.new:
        sign, word = "", "same"
    elif fact.old is None:
        sign, word = "+", "added"
    elif fact.new is None:
        sign, word = "-", "missing"
    else:
        sign, word = "~", "changed"
    mark = f"<span role=img aria-label={word}>{sign}</span>" if sign else ""
    old, new = (escape(text or "", _LONGEST) for text in (fact.old, fact.new))
    arrow = f"<b>{new}</b>" if sign else new
    # In a row of its own: the table stands in a narrow place.
    note = f"<tr><td></td><td class=q colspan=3>{escape(fact.note, 200)}</td></tr>" if fact.note else ""
    return (
        f"<tr><td>{mark}</td><th scope=row>{escape(fact.key, 120)}</th><td dir=auto>{old}</td>"
        f"<td dir=auto>{arrow}</td></tr>{note}"
    )
