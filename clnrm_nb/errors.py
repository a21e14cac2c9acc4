"""Why a thing failed: the exceptions of this package and the findings it reports.

Two shapes, one vocabulary. A :class:`Diagnostic` is a *finding*: a code, a severity, one sentence and
the place the person typed it; any number of them are collected in one pass. A :class:`ClnrmError` is a
*stop*: an ordinary exception that carries a code, says what to do next, and knows the exit status of the
command it ends. Codes, severities, statuses and exit codes stand in :mod:`clnrm_nb.codes` and nowhere else.

In a notebook an exception of this family shows its own lines only; the last one is ``Kind: message``,
because CI runners take the last line for their report.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import CODES, SEVERITIES, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BackendUnavailableError",
    "ClnrmError",
    "ConfigError",
    "Diagnostic",
    "Fix",
    "InternalError",
    "InterruptedRunError",
    "Location",
    "RefusedError",
    "Related",
    "RunFailedError",
    "TextEdit",
    "UsageError",
    "ValidationFailedError",
]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file a person edits: 1-based line and column in code points, exclusive end."""

    file: str
    line: int = 1
    column: int = 1
    end_line: int | None = None
    end_column: int | None = None

    def __str__(self) -> str:
        """``file:line:column``, as editors and terminals link it."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that helps to understand a finding, such as the first of two definitions."""

    file: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class TextEdit:
    """One replacement in the source a person edits; positions as in :class:`Location`."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair on offer. ``safe``: it cannot change what the file means."""

    title: str
    edits: tuple[TextEdit, ...]
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Parameters
    ----------
    code : str
        A code of :data:`clnrm_nb.codes.CODES`.
    message : str
        One sentence saying what is wrong; values shown as the person wrote them.
    file, line, column, end_line, end_column
        The place in the file the person edits (see :class:`Location`); ``None`` where there is none.
    hint : str, optional
        What to do next.
    severity : {"error", "warning", "info"}, optional
        Defaults to the severity of the code.
    rendered : tuple of int, optional
        ``(line, column)`` in the rendered text, where that differs from the source.
    test, scenario : str, optional
        The test or scenario the finding is about, where it came up while running one.
    """

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    hint: str | None = None
    severity: Severity = ""  # type: ignore[assignment]  # replaced from the code in __post_init__
    rendered: tuple[int, int] | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    test: str | None = None
    scenario: str | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            object.__setattr__(self, "severity", CODES[self.code].severity)

    def at(self, location: Location | None) -> Diagnostic:
        """The same finding at another place."""
        if location is None:
            return self
        return replace(
            self,
            file=location.file,
            line=location.line,
            column=location.column,
            end_line=location.end_line,
            end_column=location.end_column,
        )

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """Order of a report: file, line, column, code."""
        return (self.file or "", self.line or 0, self.column or 0, self.code)

    def __str__(self) -> str:
        """``file:line:column: CODE message``, the parts that are known."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.code} {self.message}" if place else f"{self.code} {self.message}"

    def to_json(self) -> dict[str, Any]:
        """The JSON form of ``format.md`` section 4: optional keys only where there is something to say."""
        document: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
            "related": [
                {"file": r.file, "line": r.line, "column": r.column, "message": r.message}
                for r in self.related
            ],
        }
        if self.hint:
            document["hint"] = self.hint
        if self.rendered:
            document["rendered"] = {"line": self.rendered[0], "column": self.rendered[1]}
        if self.fix:
            document["fix"] = {
                "title": self.fix.title,
                "safe": self.fix.safe,
                "edits": [
                    {
                        "line": e.line,
                        "column": e.column,
                        "end_line": e.end_line,
                        "end_column": e.end_column,
                        "text": e.text,
                    }
                    for e in self.fix.edits
                ],
            }
        if self.test:
            document["test"] = self.test
        if self.scenario:
            document["scenario"] = self.scenario
        return document


@dataclass(eq=False)
class ClnrmError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what is wrong, with the values concerned.
    code : str
        A code of :data:`clnrm_nb.codes.CODES`; empty for usage errors.
    hint : str, optional
        What to do next.
    location : Location, optional
        Where the person typed it.
    diagnostics : sequence of Diagnostic
        All findings behind this stop, where there are several.
    """

    message: str
    code: str = "CLN901"
    hint: str | None = None
    location: Location | None = None
    diagnostics: Sequence[Diagnostic] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def __str__(self) -> str:
        """Code, place and sentence, then the hint on a line of its own."""
        place = f"{self.location}: " if self.location else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self._sentence}{hint}"

    @property
    def _sentence(self) -> str:
        return f"{self.code} {self.message}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields, so that errors survive the way between processes."""
        return (type(self), (self.message, self.code, self.hint, self.location, tuple(self.diagnostics)))

    @property
    def exit_code(self) -> int:
        """Exit status of a command ended by this error."""
        return CODES[self.code].exit_code

    @property
    def diagnostic(self) -> Diagnostic:
        """The error as a finding, for reports that collect findings."""
        return Diagnostic(self.code, self.message, hint=self.hint, severity="error").at(self.location)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: our lines, the last one ``Kind: message`` (notebook CI reads that line)."""
        lines = [str(d) for d in self.diagnostics]
        if self.location:
            lines.append(f"  at {self.location}")
        if self.hint:
            lines.append(f"  {self.hint}")
        lines.extend(getattr(self, "__notes__", ()))
        lines.append(f"{type(self).__name__}: {self._sentence}")
        return lines


@dataclass(eq=False)
class UsageError(ClnrmError):
    """The command line, a magic's line or the arguments of a function are off (exit 2, no code)."""

    code: str = ""

    @property
    def exit_code(self) -> int:
        """As every usage error."""
        return 2


class ConfigError(ClnrmError):
    """A configuration file or value cannot be used; no test starts (exit 2)."""


class ValidationFailedError(ClnrmError):
    """Scenario files hold errors; ``diagnostics`` has all of them (exit 2)."""


class RefusedError(ClnrmError):
    """Something a project's own files may not ask for (CLN616, CLN617, CLN806; exit 2)."""


class BackendUnavailableError(ClnrmError):
    """No engine answers, or its containers cannot reach the receiver (CLN601; exit 3)."""


class RunFailedError(ClnrmError):
    """Tests failed: raised in notebooks that nobody watches, never on the command line (exit 1)."""


class InterruptedRunError(ClnrmError):
    """A run was interrupted; what it had started is gone (exit 130)."""

    @property
    def exit_code(self) -> int:
        """As shells report an interrupt."""
        return 130


class InternalError(ClnrmError):
    """A bug of this package (CLN901; exit 3)."""
