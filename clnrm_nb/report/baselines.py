"""``Baselines``: accepted traces and their versions, as ``clnrm baseline …`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask

__all__ = ["Baselines"]

_DIGEST: Final = len("sha256:") + 12
"""Characters of a digest that a terminal shows; documents and frames have all of it."""


class Baselines(Table):
    """Versions of baselines.

    Parameters
    ----------
    records : sequence of mappings
        ``scenario_id, version, in_use, composed, digest, spans, accepted_at, accepted_by, reason``; a key
        that is missing is unknown.
    title : str
    command : str
    exit_code : int
    notes : sequence of str
        What was done or what to do, below the table.
    findings : iterable of Diagnostic
    data : mapping, optional
        Further keys of ``data`` beside ``baselines``.
    mask : callable, optional
        Applied to every text.

    Examples
    --------
    >>> baselines = Baselines([{"scenario_id": "a.clnrm.toml::checkout", "version": 2, "in_use": True}])
    >>> baselines.raw["data"]["baselines"][0]["version"]
    2
    """

    HEADER: ClassVar = (
        "scenario_id",
        "version",
        "in_use",
        "composed",
        "digest",
        "spans",
        "accepted_at",
        "accepted_by",
        "reason",
    )

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]] = (),
        *,
        title: str = "baselines",
        command: str = "baseline list",
        exit_code: int = 0,
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        data: Mapping[str, Any] | None = None,
        mask: Mask | None = None,
    ) -> None:
        rows = [[record.get(name) for name in self.HEADER] for record in records]
        known = [dict(zip(self.HEADER, row, strict=True)) for row in rows]
        super().__init__(
            title,
            self.HEADER,
            rows,
            command=command,
            exit_code=exit_code,
            notes=notes,
            findings=findings,
            data={"baselines": known, **(data or {})},
            mask=mask,
        )

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Without columns that say nothing; digests by their beginning, people by their name."""
        rows = [dict(zip(self.header, row, strict=True)) for row in self.rows]
        for row in rows:
            row["digest"] = row["digest"] and row["digest"][:_DIGEST]
            row["accepted_by"] = row["accepted_by"] and (
                row["accepted_by"].partition(" <")[0] or row["accepted_by"]
            )
        header = [name for name in self.header if any(row[name] not in (None, "") for row in rows)]
        return header, [[row[name] for name in header] for row in rows]

    @property
    def frame(self) -> DataFrame:
        """One row a version (``format.md`` 12)."""
        from clnrm_nb.report.frames import baselines_frame

        return baselines_frame(self.raw["data"]["baselines"])
