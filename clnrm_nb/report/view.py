"""What the results of commands that run no test have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import CODES
from clnrm_nb.report.lines import Line, to_plain
from clnrm_nb.report.mime import bundle
from clnrm_nb.report.signs import UNICODE, Signs

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence


__all__ = ["HTML_BYTES", "Judged", "View", "dated", "exit_code_of_findings"]

HTML_BYTES = 90_000
"""What the HTML of one view may weigh in a notebook file."""

_LINES_IN_TEXT = 400


def dated(at: datetime) -> str:
    """RFC 3339 in UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exit_code_of_findings(findings: Sequence[Mapping[str, Any]], command: str, *, deny: bool) -> int:
    """What findings alone give; ``lint`` fails on warnings of its own."""
    causes = {CODES[f["code"]].exit_code for f in findings if f["severity"] == "error"}
    warnings = [f["code"] for f in findings if f["severity"] == "warning"]
    if deny and warnings:
        causes.add(1)
    if command == "lint":
        causes |= {CODES[code].exit_code for code in warnings}
    return max(causes, default=0)


class Judged:
    """Whatever has a JSON document that says how its command ended."""

    raw: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """As of ``format.md`` 11.2."""
        return int(self.raw["exit_code"])


class View(Judged):
    """A document, and the forms people see. What a view does not say is 0, empty or now."""

    label = "result"

    def __init__(
        self,
        command: str,
        *,
        exit_code: int = 0,
        summary: Mapping[str, Any] | None = None,
        findings: Sequence[Mapping[str, Any]] = (),
        data: Mapping[str, Any] | None = None,
        started_at: datetime | None = None,
        duration_ms: float = 0.0,
    ) -> None:
        self.raw = {
            "format": "clnrm-report/1",
            "command": command,
            "ok": exit_code == 0,
            "exit_code": exit_code,
            "started_at": dated(started_at or datetime.now(UTC)),
            "duration_ms": round(duration_ms, 3),
            "summary": dict(summary or {}),
            "diagnostics": list(findings),
            "data": dict(data or {}),
        }

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """The view for people, as styled lines."""
        raise NotImplementedError

    def html(self) -> str:
        """The view as HTML, without a frame around it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        lines = self.lines(width=110)
        if len(lines) > _LINES_IN_TEXT:
            note = (f"showing {_LINES_IN_TEXT} of {len(lines):,} lines", "dim")
            lines = [*lines[: _LINES_IN_TEXT - 1], [note], lines[-1]]
        return to_plain(lines, 120)

    def _makers(self) -> dict[str, Any]:
        from clnrm_nb.report.html import fragment

        return {
            "text/html": lambda: fragment(self.label, self.html()),
            "text/plain": lambda: repr(self),
        }

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        return bundle(self._makers(), include, exclude)
