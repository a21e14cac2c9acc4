"""The few things every HTML view is made of: escaping, the style, tables with a stated window.

Views work without script, network and ids: papermill, nbconvert, untrusted notebooks and GitHub show them.
Where a viewer drops the style too, what remains is still a readable table. Attribute values stand unquoted
where HTML allows it, because a notebook file escapes every quote.
"""

from __future__ import annotations

import html as _html
from typing import TYPE_CHECKING, Final

from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import number_text, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["STYLE", "Weighed", "details", "escape", "escape_block", "fragment", "page", "status", "table"]

STYLE: Final = """\
.clnrm{font:var(--jp-ui-font-size1,13px)/1.5 var(--jp-ui-font-family,system-ui,sans-serif);\
color:var(--jp-ui-font-color1,inherit)}
.clnrm table{border-collapse:collapse;margin:.3em 0;color:inherit;table-layout:auto}
.clnrm caption{text-align:left;padding:.2em 0;font-weight:600}
.clnrm th,.clnrm td{text-align:left;vertical-align:top;padding:.1em .7em .1em 0;\
border-bottom:1px solid var(--jp-border-color2,#8884);background:none;font-weight:inherit;color:inherit;\
white-space:normal;overflow-wrap:anywhere}
.clnrm thead th{font-weight:600;white-space:nowrap;overflow-wrap:normal}
.clnrm.clnrm th,.clnrm.clnrm td{text-align:left}
.clnrm td.n,.clnrm .spans td:nth-child(3),.clnrm .spans td:nth-child(4)\
{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.clnrm code,.clnrm pre,.clnrm tbody th{font-family:var(--jp-code-font-family,ui-monospace,monospace);\
font-size:.95em;color:inherit;background:none}
.clnrm tbody th{white-space:pre-wrap;min-width:12em}
.clnrm pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0;padding-left:.6em;\
border-left:3px solid var(--jp-border-color2,#8886)}
.clnrm h3,.clnrm h4{margin:.5em 0 .2em;font-size:1.05em;font-weight:600;color:inherit}
.clnrm summary{cursor:pointer;min-height:24px}
.clnrm summary:focus-visible{outline:2px solid var(--jp-brand-color1,#5b8def)}
.clnrm dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em .8em;margin:.2em 0 .6em 1.2em}
.clnrm dt{font-weight:600}.clnrm dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.clnrm .q{opacity:.85}
.clnrm .src,.clnrm .sides pre{tab-size:4;background:none;overflow:visible;line-height:inherit}
.clnrm .src i{font-style:normal;opacity:.7;user-select:none}
.clnrm .src del,.clnrm .src ins{text-decoration:none}
.clnrm .src ins{border-bottom:1px solid #2e8b57}.clnrm .src del{border-bottom:1px dashed #d01a00}
.clnrm mark{background:none;color:inherit;text-decoration:underline wavy #d01a00;text-underline-offset:.2em}
.clnrm mark.odd{text-decoration-color:#c77700}.clnrm mark.note{text-decoration-color:#5b8def}
.clnrm .sides{width:100%;table-layout:fixed;border-spacing:0}.clnrm .sides th:nth-child(odd){width:4.5em}
.clnrm.clnrm .sides tr{background:none}.clnrm .sides .n{opacity:.7}
.clnrm .sides td{border:0;padding:0 .6em 0 0}
.clnrm .sides pre{border:0;margin:0;padding:0}
@media(max-width:40em){.clnrm .sides :is(thead,td:empty){display:none}\
.clnrm .sides :is(tr,tbody){display:block}.clnrm .sides :is(td,pre){display:inline}\
.clnrm .sides td:nth-child(3):not(:empty)::before{content:"→ "}}
.clnrm a{color:var(--jp-content-link-color,inherit)}
.clnrm b{font-weight:600}
.clnrm td>b,.clnrm td.w{white-space:nowrap;overflow-wrap:normal}.clnrm td.l{min-width:14em}
.clnrm b.bad{border-bottom:2px solid #d01a00}.clnrm b.odd{border-bottom:2px dashed #c77700}
.clnrm svg{width:14em;height:.8em;display:block;margin-top:.35em;overflow:visible}
.clnrm rect{height:.8em;fill:#5b8def;min-width:2px}
.clnrm .e rect{fill:#d01a00;stroke:currentColor;stroke-dasharray:2}.clnrm .o rect{fill:#808080}
@media(forced-colors:active){.clnrm rect{fill:CanvasText}}
@media(max-width:40em){.clnrm tbody th,.clnrm td.l{min-width:6em}.clnrm td{min-width:3em}\
.clnrm :is(th,td){padding-right:.4em}}
@media print{.clnrm,.clnrm *{color:#000!important;background:none!important;opacity:1!important}\
.clnrm details>*{display:block}.clnrm ::details-content{display:block;content-visibility:visible;height:auto}\
.clnrm tr,.clnrm pre{break-inside:avoid}.clnrm :is(h3,h4,caption,thead,summary){break-after:avoid}}
"""

_PAGE_STYLE: Final = """\
:root{color-scheme:light dark}
body{margin:1.5em auto;padding:0 1em;max-width:75em}
h1{font-size:1.4em}
@media print{:root{color-scheme:light}body{margin:0;padding:0;max-width:none}}
"""

_BAD: Final = frozenset({"failed", "error", "interrupted"})
_ODD: Final = frozenset({"incomplete", "flaky", "not-evaluated", "warning", "ok-with-warnings"})


class Weighed(list[str]):
    """Rows that were taken while they fitted into a budget, and how many there were in all."""

    def __init__(self, rows: Iterable[str], total: int, budget_bytes: int) -> None:
        super().__init__()
        self.total = total
        left = budget_bytes
        for row in rows:
            left -= len(row.encode())
            if left < 0:
                break
            self.append(row)

    def note(self, rest: str = "") -> str:
        """``showing 500 of 41,310``, or nothing where all is shown."""
        if len(self) >= self.total:
            return ""
        where = f" {escape(rest)}" if rest else ""
        return f"<p>showing {number_text(len(self))} of {number_text(self.total)}{where}</p>"


def escape(text: str, longest: int = 400) -> str:
    """Text for one line of HTML, content or attribute."""
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text):,} characters)"
    return _html.escape(one_line(text))


def escape_block(text: str, longest: int = 4_000) -> str:
    """Text for a block that keeps its line breaks; of very long text the end, where errors stand."""
    if len(text) > longest:
        text = f"({len(text):,} characters, the last {longest:,}:)\n{text[-longest:]}"
    return _html.escape(visible(text))


def status(word: str, beside: str = "") -> str:
    """A state: sign, word and, beside them, what qualifies it (the backend)."""
    mark = " class=bad" if word in _BAD else (" class=odd" if word in _ODD else "")
    sign = UNICODE.status.get(word, "")
    tail = f" <span class=q>{escape(beside)}</span>" if beside else ""
    return f"<b{mark}><span aria-hidden=true>{sign}</span> {escape(word)}</b>{tail}"


def table(caption: str, header: Sequence[str], rows: Iterable[str], *, kind: str = "") -> str:
    """A table from finished rows; `caption` and `header` are plain text, `kind` a class of the style."""
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in header)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    of_class = f" class={kind}" if kind else ""
    return f"<table{of_class}>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def details(summary: str, content: str, *, is_open: bool = False) -> str:
    """Something to unfold; `summary` and `content` are HTML."""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{content}</details>"


def fragment(label: str, content: str) -> str:
    """A notebook output: content, its style and a name for screen readers."""
    return (
        f'<div class=clnrm lang=en role=region aria-label="{escape(label)}">'
        f"<style>{STYLE}</style>{content}</div>"
    )


def page(title: str, content: str) -> str:
    """A whole file: one document that needs nothing else."""
    return (
        f"<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
        f'<meta name=viewport content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_PAGE_STYLE}{STYLE}</style></head>\n"
        f"<body class=clnrm><main><h1>{escape(title)}</h1>{content}</main></body></html>\n"
    )
