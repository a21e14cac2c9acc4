"""What came of holding one scenario against its accepted trace, and under which terms that is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.diff.model import Diff
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.errors import Diagnostic, Location
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state.reviews import ReviewState

__all__ = ["Comparison", "ComparisonStatus", "Terms"]

ComparisonStatus = Literal["same", "changed", "missing", "rejected", "unused", "incomplete", "error"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario (or test level) against its baseline.

    Parameters
    ----------
    id, test_id : str
    scenario : str or None
        ``None`` for the test level.
    status : str
        The baseline's verdict.
    code : str or None
        The code that goes with it; ``None`` if it is the same.
    diagnostics : tuple of Diagnostic
        What to report; their severities are final.
    diff : Diff or None
        Where there were two sides; of an incomplete trace it is provisional.
    digest : str or None
        Trace digest of the run.
    baseline : Baseline or None
        What it was compared with.
    file : str or None
        The baseline's file from the project root.
    from_trace_file : bool
        The other side was the file of ``diff.baseline_path``.
    run_with : str
        Options of the run that a command which repeats it needs, each after a space.
    """

    id: str
    test_id: str
    scenario: str | None
    status: ComparisonStatus
    code: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    diff: Diff | None = None
    digest: str | None = None
    baseline: Baseline | None = None
    file: str | None = None
    from_trace_file: bool = False
    run_with: str = ""
    table: SpanTable | None = None
    """The run's spans that were compared; rows are the ``current_row`` of the diff."""
    rules: tuple[Rule, ...] = ()
    """The tolerance rules that held."""
    reference: SpanTable | None = None
    """The stored run that stood for the baseline, where times are compared; rows are the ``baseline_row``."""
    options: DiffOptions | None = None
    """What counted, where there were two sides."""
    waits: bool = False
    """Whether the trace is kept for a review."""

    @property
    def reviews(self) -> dict[str, ReviewState]:
        """Where each edit stands after the run, by ``edit_id``; of what nobody decides about, nothing."""
        if self.diff is None:
            return {}
        allowing = {rule.id for rule in self.rules}
        found: dict[str, ReviewState] = {}
        for edit in self.diff.edits:
            if not edit.counted:
                if not allowing.isdisjoint(edit.rule.split(", ")):
                    found[edit.edit_id] = "rule"
            elif self.status == "rejected":
                found[edit.edit_id] = "rejected"
            elif self.waits:
                found[edit.edit_id] = "pending"
        return found

    @property
    def is_failure(self) -> bool:
        """Whether it must turn something red."""
        return any(finding.severity == "error" for finding in self.diagnostics)

    @property
    def is_checked_only(self) -> bool:
        """Whether the trace is the accepted one, and only what is checked beside it differs."""
        return self.baseline is not None and self.digest == self.baseline.digest


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms one test is compared.

    Parameters
    ----------
    source_hash, vars_hash : str or None
        Hashes of its file as people edit it and of the variables it read, for the decision log.
    location : Location or None
        Where findings about the test are shown.
    scenarios : mapping of str to Location
        Where those about a scenario are.
    rules : tuple of Rule
        The tolerance rules of its scenario file.
    run, at : str or None
        The run its spans come from, where that is not the one that compares them.
    """

    source_hash: str | None = None
    vars_hash: str | None = None
    location: Location | None = None
    scenarios: Mapping[str, Location] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    run: str | None = None
    at: str | None = None

    def place(self, scenario: str | None) -> Location | None:
        """Where a finding about a scenario, or about the test itself, is shown."""
        return self.scenarios.get(scenario or "", self.location)
