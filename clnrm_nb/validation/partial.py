"""What the rest of a file says while one of its markers is broken.

A template that does not render has no TOML to check, and one misspelt variable would hide everything else.
So the broken markers (a broken block with all that is in it) are blanked out in the source, which keeps every
other position, and what is left is rendered and checked. What is then said about a blanked line, or may
follow from one, is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from clnrm_nb.validation.markers import is_unclosed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.scenario.positions import Span
    from clnrm_nb.template import Rendered

__all__ = ["Partial", "render_rest"]

_MAX_ROUNDS: Final = 12
_MAX_BROKEN: Final = 40
_TAG: Final = re.compile(r"\{%-?\s*(end)?(for|if|macro|block|filter)\b[^%]*%\}")
_NAMESPACES: Final = ("vars", "matrix", "otel", "params", "env")


@dataclass(frozen=True)
class Partial:
    """A rendering of what is left.

    Parameters
    ----------
    rendered : Rendered or None
        The rest; ``None`` where nothing can be rendered.
    template_findings : list of Diagnostic
        What the template layer says of all markers, each looked at without the others in its way.
    source : str
        What the person edits.
    holes : list of Span
        What of it is not in the rest.
    """

    rendered: Rendered | None
    template_findings: list[Diagnostic]
    source: str
    holes: list[Span]

    @property
    def unread(self) -> list[str]:
        """The texts of the holes."""
        return [self.source[slice(*hole)] for hole in self.holes]

    @cached_property
    def lines(self) -> frozenset[int]:
        """The lines that a hole touches."""
        count = self.source.count
        return frozenset(
            line
            for start, end in self.holes
            for line in range(count("\n", 0, start) + 1, count("\n", 0, end) + 2)
        )

    @cached_property
    def hides_tables(self) -> bool:
        """Whether whole tables may be out of sight: a header's line, or a statement, is not in the rest."""
        rows = self.source.split("\n")
        return any(
            rows[line - 1].lstrip().startswith(("[", "{%")) for line in self.lines if line <= len(rows)
        )


def render_rest(rendered: Rendered) -> Partial:
    """What is left of a file that does not render."""
    source = rendered.source.replace("\r\n", "\n")
    holes: list[Span] = []
    said: list[Diagnostic] = []
    latest = rendered
    for _ in range(_MAX_ROUNDS):
        errors = [one for one in latest.diagnostics if one.severity == "error" and one.file == rendered.file]
        if len(errors) > _MAX_BROKEN or any(one.code == "CLN108" for one in errors):
            # Hopeless, or made to cost time: what ran into a limit once would do so again.
            return Partial(None, latest.diagnostics, source, holes)
        # A marker that is never closed swallows what comes behind it: nothing else can be believed yet.
        unclosed = [one for one in errors if is_unclosed(one)][:1]
        fresh = [hole for hole in _broken(unclosed or errors, source) if hole not in holes]
        believed = unclosed or [one for one in latest.diagnostics if not _follows(one, source, holes)]
        said += [one for one in believed if one not in said]
        if not fresh or rendered.again is None or not rendered.templated:
            return Partial(None, said, source, holes)
        holes += fresh
        text = source
        for start, end in holes:
            text = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
        latest = rendered.again(text)
        if latest.text is not None:
            said += [one for one in latest.diagnostics if one not in said]
            return Partial(latest, said, source, holes)
    said += [one for one in latest.diagnostics if one not in said]
    return Partial(None, said, source, holes)


def _follows(finding: Diagnostic, source: str, holes: list[Span]) -> bool:
    """Whether an undefined name may be one that a blanked marker defines."""
    named = re.search(r"`([^`]+)`", finding.message)
    if not holes or named is None or finding.code not in ("CLN102", "CLN103"):
        return False
    root = re.split(r"[.:]", named[1])[0]
    if root in _NAMESPACES:
        return False
    return any(re.search(rf"\b{re.escape(root)}\b", source[slice(*hole)]) for hole in holes)


def _broken(findings: Iterable[Diagnostic], source: str) -> Iterable[Span]:
    """The markers with errors; of the tags of a block, the whole block."""
    starts = [0, *(match.end() for match in re.finditer("\n", source))]
    for finding in findings:
        if finding.line and finding.column and finding.line <= len(starts):
            start = starts[finding.line - 1] + finding.column - 1
            end = _end_of(finding, starts, source, start)
            tag = _TAG.match(source, start)
            yield (start, _block_end(source, start) if tag and not tag[1] else end)


def _end_of(finding: Diagnostic, starts: list[int], source: str, start: int) -> int:
    line_end = source.find("\n", start)
    line_end = len(source) if line_end < 0 else line_end
    if not finding.end_line or not finding.end_column:
        return line_end
    end = starts[min(finding.end_line, len(starts)) - 1] + finding.end_column - 1
    # A marker that is never closed reaches for the closer of another one.
    return min(end, line_end) if is_unclosed(finding) else end


def _block_end(source: str, start: int) -> int:
    depth = 0
    for tag in _TAG.finditer(source, start):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return len(source)
