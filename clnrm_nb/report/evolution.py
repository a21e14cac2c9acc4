"""How a trace changed over its accepted versions, and the decisions that made them (``baseline history``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic

__all__ = ["BaselineHistory", "Evolution"]

_STATUSES: Final = ("added", "missing", "changed", "moved", "renamed")


class Evolution(Table):
    """Accepted versions of one baseline, oldest first.

    Parameters
    ----------
    records : sequence of mappings
        As :class:`~clnrm_nb.baseline.evolution.Version` writes them.
    """

    HEADER: ClassVar = ("version", "spans", *_STATUSES, "cost", "accepted_at", "accepted_by", "change")

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        rows = [[record.get(name) for name in self.HEADER] for record in records]
        lost = [str(record["version"]) for record in records if record["spans"] is None]
        notes = [f"neither this machine nor git has version {', '.join(lost)}"] if lost else []
        super().__init__(
            "versions",
            self.HEADER,
            rows,
            command="baseline history",
            notes=notes,
            data={"versions": [dict(record) for record in records]},
        )

    @property
    def frame(self) -> DataFrame:
        """One row a version: what it holds, what it changed by status, what that costs, who, when and why."""
        from clnrm_nb.report.frames import evolution_frame

        return evolution_frame(self.raw["data"]["versions"])

    def plot(self) -> Any:
        """A plotly figure: what each version changed, stacked by status, and its spans in all as a line."""
        from clnrm_nb.report.figures import evolution_figure

        return evolution_figure(self.raw["data"]["versions"])


class BaselineHistory(Baselines):
    """Decisions about one baseline, oldest first, and the versions they made.

    Parameters
    ----------
    records : sequence of mappings
        As for :class:`~clnrm_nb.report.baselines.Baselines`, one a decision.
    versions : sequence of mappings
        As for :class:`Evolution`.
    decisions : sequence of mappings
        The decisions as their files have them, each with its ``hash``.
    findings : iterable of Diagnostic
        Why its file cannot be used, if it cannot.

    Attributes
    ----------
    evolution : Evolution
        The versions, with ``.frame`` and ``.plot()``.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        versions: Sequence[Mapping[str, Any]],
        *,
        title: str,
        decisions: Sequence[Mapping[str, Any]] = (),
        findings: Iterable[Diagnostic] = (),
    ) -> None:
        nothing = "Nothing was ever decided about it: `clnrm baseline list` has the ids."
        self.evolution = Evolution(versions)
        super().__init__(
            records,
            title=title,
            command="baseline history",
            notes=[*_in_words(versions), *self.evolution.notes] if records else [nothing],
            findings=findings,
            data={"versions": [dict(version) for version in versions], "decisions": list(decisions)},
        )

    def plot(self) -> Any:
        """See :meth:`Evolution.plot`."""
        return self.evolution.plot()


def _in_words(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence a version that changed something."""
    return [
        f"version {version['version']}: {', '.join(_counts(version)) or 'nothing that counts'}"
        f" ({version['spans']} spans, cost {version['cost']})"
        + (f": {version['change']}" if version["change"] else "")
        for version in versions
        if version["edits"] is not None
    ]


def _counts(version: Mapping[str, Any]) -> list[str]:
    return [f"{version[status]} {status}" for status in _STATUSES if version[status]]
