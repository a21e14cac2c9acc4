"""Segments → one Jinja2 template: statements, their nesting, and what a file offers to others.

One pass over the segments with a stack of open statements. A marker that cannot be parsed is reported
and skipped, so that all independent mistakes of a file come out at once. Macros, blocks and the
statements that are rendered ahead (:mod:`clnrm_nb.template.tables`) become Jinja2 blocks: each compiles
to a function of its own, which the rendering calls when it needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import nodes

from clnrm_nb.template.cursor import Cursor
from clnrm_nb.template.faults import Fault
from clnrm_nb.template.lexer import Segment
from clnrm_nb.template.nesting import CLOSING, OPENING, Nesting, function_of
from clnrm_nb.template.parsed import Parsed, Problem
from clnrm_nb.template.tags import TagParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.template.lexer import Scan
    from clnrm_nb.template.signature import Registry
    from clnrm_nb.template.tables import Statement

__all__ = ["TemplateParser"]

_MAX_PROBLEMS: Final = 100
_NEVER_AHEAD: Final = frozenset({"import", "extends", "macro", "block", "break", "continue"})
"""What has a meaning for the whole file, or for a loop around, and so cannot be rendered apart."""


class TemplateParser:
    """Parses one scanned source."""

    def __init__(self, scan: Scan, statements: Sequence[Statement], registry: Registry) -> None:
        self.source = scan.source
        self.statements = statements
        self.segments = _split(scan.segments, [s for s in statements if s.is_dynamic])
        self.result = Parsed(nodes.Template([], lineno=1), self.segments)
        self.nesting = Nesting(self.result.problems)
        self.tags = TagParser(scan.source, self.result, self.nesting, registry)

    def parse(self) -> Parsed:
        """Parse everything; mistakes are in ``problems``."""
        pending = [(i, s) for i, s in enumerate(self.statements) if s.is_dynamic]
        pending.reverse()
        ahead: tuple[int, Statement] | None = None
        for number, segment in enumerate(self.segments, 1):
            if ahead and segment.start >= ahead[1].end:
                self._close_statement(ahead[0])
                ahead = None
            while pending and pending[-1][1].end <= segment.start:
                pending.pop()
            if (
                not ahead
                and pending
                and pending[-1][1].start <= segment.start
                and segment.start < segment.end
            ):
                ahead = self._open_statement(pending.pop(), number)
            self._segment(segment, number)
            if self.nesting.is_too_deep or len(self.result.problems) >= _MAX_PROBLEMS:
                self.nesting.give_up()
                ahead = None
                break
        if ahead:
            self._close_statement(ahead[0])
        assert self.result.tree is not None
        self.result.tree.body = self.nesting.finish()
        self._keep_one_limit()
        return self.result

    def _keep_one_limit(self) -> None:
        """Beyond a limit on nesting one finding says it all."""
        problems = self.result.problems
        limits = [problem for problem in problems if problem.code == "CLN108"]
        self.result.problems = [p for p in problems if p.code != "CLN108" or p is limits[0]]

    # -- statements rendered ahead

    def _open_statement(self, entry: tuple[int, Statement], number: int) -> tuple[int, Statement] | None:
        """Give a statement a function of its own, where it stands for itself."""
        inside = {opened.kind for opened in self.nesting.stack[1:]}
        if inside - {"if", "block"} or not self._is_balanced(entry[1], number):
            return None
        self.nesting.stand_in("statement", number)
        return entry

    def _is_balanced(self, statement: Statement, number: int) -> bool:
        depth = 0
        for segment in self.segments[number - 1 :]:
            if segment.start >= statement.end:
                break
            if segment.problem or segment.keyword in _NEVER_AHEAD:
                return False
            depth += (segment.keyword in OPENING) - (segment.keyword in CLOSING)
            if depth < 0 or (depth == 0 and segment.keyword in ("else", "elif")):
                return False
        return depth == 0

    def _close_statement(self, index: int) -> None:
        while self.nesting.innermost.kind != "statement":  # a marker inside could not be parsed
            self.nesting.stack.pop()
        opened = self.nesting.stack.pop()
        self.nesting.use(opened.names)
        if opened.names & self.result.assigned:
            # A `set` before it may have changed what it says: it is rendered in its place only.
            self.nesting.add(*opened.body)
            return
        name = f"statement_{index}"
        self.result.statements[name] = index
        self.nesting.add(function_of(name, opened.body, opened.at))

    # -- segments

    def _segment(self, segment: Segment, number: int) -> None:
        if segment.problem:
            self.result.problems.append(Problem(*segment.problem, number))
            return
        if segment.kind == "text":
            if text := self.source[segment.start : segment.end]:
                self.nesting.add(nodes.Output([nodes.TemplateData(text, lineno=number)], lineno=number))
            return
        cursor = Cursor(segment.tokens, "}}" if segment.kind == "print" else "%}")
        try:
            if segment.kind == "print":
                self.tags.printed(cursor, number)
            else:
                self.tags.tag(cursor, number)
        except Fault as fault:
            self.result.problems.append(Problem(fault.code, fault.message, number, fault.hint))
            self._stand_in(segment, number)

    def _stand_in(self, segment: Segment, number: int) -> None:
        """Keep the nesting right behind an opening marker that could not be parsed."""
        if segment.keyword in OPENING and self.nesting.innermost.at != number:
            self.nesting.stand_in(segment.keyword, number)


def _split(segments: Sequence[Segment], statements: Sequence[Statement]) -> list[Segment]:
    """Cut text segments where a statement that is rendered ahead starts or ends."""
    if not statements:
        return list(segments)
    cuts = sorted({offset for s in statements for offset in (s.start, s.end)})
    result: list[Segment] = []
    for segment in segments:
        if segment.kind == "text":
            start = segment.start
            for cut in cuts:
                if start < cut < segment.end:
                    result.append(Segment("text", start, cut))
                    start = cut
            result.append(Segment("text", start, segment.end))
        else:
            result.append(segment)
    return result
