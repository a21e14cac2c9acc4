"""``Explained``: the page of one code, on a terminal, in a notebook, as a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import visible, wrapped
from clnrm_nb.report.view import View

if TYPE_CHECKING:
    from pandas import DataFrame

    from clnrm_nb.explain import Example, Page

__all__ = ["Explained"]

_WIDEST: Final = 96
_CODE: Final = re.compile(r"`([^`]+)`")


class Explained(View):
    """What a code means.

    Parameters
    ----------
    page : Page
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.label = f"explanation of {page.code}"
        super().__init__(
            "explain",
            summary={"code": page.code, "severity": page.severity},
            data={
                "code": page.code,
                "title": page.title,
                "severity": page.severity,
                "meaning": page.meaning,
                "why": page.why,
                "repair": page.repair,
                "wrong": _document(page.wrong),
                "right": _document(page.right),
            },
        )

    @property
    def _texts(self) -> tuple[tuple[str, str], ...]:
        page = self.page
        return (("", page.meaning), ("Why it matters", page.why), ("How to repair it", page.repair))

    @property
    def _examples(self) -> tuple[tuple[str, Example], ...]:
        return (("Wrong", self.page.wrong), ("Right", self.page.right))

    @property
    def frame(self) -> DataFrame:
        """One row: code, severity, title, meaning, why, repair."""
        from clnrm_nb.report.frames import frame_of

        names = ("code", "severity", "title", "meaning", "why", "repair")
        return frame_of(dict.fromkeys(names, "string"), [{name: self.raw["data"][name] for name in names}])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        del verbose
        page = self.page
        lines = [
            line((page.code, page.severity), "  ", (visible(page.title), "bold"), f"  ({page.severity})")
        ]
        for heading, text in self._texts:
            lines += _heading(heading)
            for paragraph in text.split("\n\n"):
                lines += [line(row) for row in wrapped(visible(paragraph), min(width, _WIDEST))]
        for heading, example in self._examples:
            lines += _heading(heading)
            for block in example.blocks:
                if block.name:
                    lines.append(line((f"  {block.name}", "dim")))
                lines += [line(f"  {signs.quote} {row}") for row in visible(block.text).splitlines()]
        return lines

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import escape, escape_block

        page = self.page
        parts = [f"<h3>{page.code}: {_html_of(page.title)} <span class=q>({page.severity})</span></h3>"]
        for heading, text in self._texts:
            parts.append(f"<h4>{heading}</h4>" if heading else "")
            parts += [f"<p>{_html_of(paragraph)}</p>" for paragraph in text.split("\n\n")]
        for heading, example in self._examples:
            parts.append(f"<h4>{heading}</h4>")
            for block in example.blocks:
                parts.append(f"<div class=q>{escape(block.name)}</div>" if block.name else "")
                parts.append(f"<pre>{escape_block(block.text)}</pre>")
        return "".join(parts)


def _heading(words: str) -> list[Line]:
    return [line(), *([line((words, "bold"))] if words else [])]


def _html_of(text: str) -> str:
    from clnrm_nb.report.html import escape

    pieces = _CODE.split(text)
    # Every second piece stood between backticks.
    return "".join(
        f"<code>{escape(piece)}</code>" if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )


def _document(example: Example) -> dict[str, Any]:
    return {"files": example.files, "commands": list(example.commands)}
