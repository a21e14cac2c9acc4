"""``Learned``: rules that several runs of a test suggest, and the way to agree to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from clnrm_nb.errors import UsageError
from clnrm_nb.report.tables import Table
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.baseline.learning import Lesson
    from clnrm_nb.baseline.offers import Offer
    from clnrm_nb.errors import Diagnostic

__all__ = ["Accept", "Learned", "Taught"]


class Accept(Protocol):
    """Writes one rule; the file it is in."""

    def __call__(
        self, baseline_id: str, offer: Offer, *, place: str, confirmed: bool, by: str | None, message: str
    ) -> str:
        """Write it."""
        ...


@dataclass(frozen=True, slots=True)
class Taught:
    """What the runs of one scenario taught.

    Parameters
    ----------
    id : str
    runs : int
        Runs that were learnt from.
    lesson : Lesson
    offers : tuple of Offer
        One for each rule of the lesson, in its order.
    has_baseline : bool
        Whether they were held against an accepted trace; else against the first of them.
    """

    id: str
    runs: int
    lesson: Lesson
    offers: tuple[Offer, ...]
    has_baseline: bool
    alarms: tuple[int, int] = (0, 0)
    """Stored runs that differ by something that counts: now, and with all of these rules."""


class Learned(Table):
    """Rules that would let pass what varied with nothing changed; none holds before somebody agrees.

    Parameters
    ----------
    taught : sequence of Taught
    title : str
    runs : int
        Runs that were made; 0: stored ones were taken.
    by : str or None
        Who decides.
    is_dry : bool
        To be looked at only.
    exit_code : int
        Of the runs; 1 where rules wait for a decision.
    notes : sequence of str
    findings : iterable of Diagnostic
    accept : callable
        Writes one rule.

    Attributes
    ----------
    taught : tuple of Taught
        As given.
    """

    HEADER: ClassVar = (
        "rule", "scenario_id", "says", "differed_in", "runs", "alarms", "quieted", "edits",
        "hidden", "found", "injected", "state",
    )  # fmt: skip

    def __init__(
        self,
        taught: Sequence[Taught],
        *,
        title: str,
        runs: int,
        by: str | None = None,
        is_dry: bool = False,
        exit_code: int = 0,
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        accept: Accept,
    ) -> None:
        self.taught = tuple(taught)
        self._by = by
        self._accept = accept
        rows = [_row(one, number) for one in taught for number in range(len(one.offers))]
        super().__init__(
            title,
            self.HEADER,
            rows,
            command="baseline learn",
            exit_code=max(exit_code, int(bool(rows) and not is_dry)),
            notes=[*notes, *(sentence for one in taught for sentence in _told(one)), *_what_now(rows)],
            findings=findings,
            data={
                "id": title,
                "runs": runs,
                "scenarios": [_document(one) for one in taught],
                "proposals": [
                    {"scenario_id": one.id, **offer.to_json()} for one in taught for offer in one.offers
                ],
            },
            dtypes={
                **dict.fromkeys(self.HEADER[3:-1], "Int64"),
                "state": ("proposed", "accepted", "declined"),
            },
        )

    @property
    def waiting(self) -> list[tuple[str, Offer]]:
        """Rules nobody has decided about, each with the scenario it is for."""
        states = {row[0]: row[-1] for row in self.rows}
        return [
            (one.id, offer)
            for one in self.taught
            for offer in one.offers
            if states[offer.rule.id] == "proposed"
        ]

    def accept(
        self,
        *rules: str,
        place: str = "project",
        confirmed: bool = False,
        by: str | None = None,
        message: str = "",
    ) -> Learned:
        """Agree to rules: they are written, and the decision is logged.

        Parameters
        ----------
        *rules : str
            Their ids; none: all that wait.
        place : {"project", "scenario"}
            ``baselines/rules.toml`` or the end of the scenario file.
        confirmed : bool
            Although a rule hides a trace that somebody rejected.
        by, message : str, optional
            Who and why.

        Raises
        ------
        UsageError
            Unknown id; a rule hides what was rejected, and that is not confirmed.
        """
        chosen = self._chosen(rules)
        for baseline_id, offer in chosen:
            self._accept(
                baseline_id, offer, place=place, confirmed=confirmed, by=by or self._by, message=message
            )
            self._mark(offer, "accepted")
        return self

    def decline(self, *rules: str) -> Learned:
        """Do without rules; none: all that wait. Nothing is written, and they are offered again next time."""
        for _, offer in self._chosen(rules):
            self._mark(offer, "declined")
        return self

    def _chosen(self, rules: Sequence[str]) -> list[tuple[str, Offer]]:
        waiting = {offer.rule.id: (baseline_id, offer) for baseline_id, offer in self.waiting}
        unknown = [name for name in rules if name not in waiting]
        if unknown:
            raise UsageError(
                f"no rule that waits is called {', '.join(unknown)}", hint=f"waiting: {', '.join(waiting)}"
            )
        return [waiting[name] for name in rules or waiting]

    def _mark(self, offer: Offer, state: str) -> None:
        for row in self.rows:
            if row[0] == offer.rule.id:
                row[-1] = state
        if not self.waiting:
            self.raw["exit_code"], self.raw["ok"] = 0, True
            self.notes = [note for note in self.notes if not note.startswith(_DECIDE)]

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """What a person decides by; all the figures are in the frame."""
        header = ["says", "differed in", "edits quieted", "hidden", "still found", "rule", "state"]
        rows = []
        for row in self.rows:
            one = dict(zip(self.header, row, strict=True))
            found = f"{one['found']} of {one['injected']}"
            told = [one["says"], one["differed_in"], one["edits"], one["hidden"], found]
            rows.append([*told, one["rule"], one["state"]])
        if all(row[-1] == "proposed" for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        return header, rows

    _in_html = _in_text


_DECIDE = "None of them holds yet"


def _row(one: Taught, number: int) -> list[Any]:
    learnt, offer = one.lesson.learnt[number], one.offers[number]
    test = offer.test
    return [
        offer.rule.id, one.id, offer.proposal.sentence, learnt.runs, test.runs, test.alarms, test.quieted,
        test.edits, len(test.hidden), test.found, test.injected, "proposed",
    ]  # fmt: skip


def _told(one: Taught) -> list[str]:
    against = "its baseline" if one.has_baseline else "the first of them"
    lesson = one.lesson
    told = [
        f"{one.id}: {lesson.differing} of {number_text(lesson.runs, 'run')} differed from {against}"
        + ("" if lesson.learnt or lesson.left else "; nothing to learn")
    ]
    if one.offers:
        before, after = one.alarms
        runs = number_text(before, "stored run") + (" that differs" if before == 1 else " that differ")
        told.append(f"of {runs}, {after or 'none'} would still do so with all of these rules")
    told += [f"no rule can allow: {message}" for message in lesson.left]
    told += [
        f"rule {offer.rule.id} would HIDE: {hidden}" for offer in one.offers for hidden in offer.test.hidden
    ]
    return told


def _what_now(rows: Sequence[Sequence[Any]]) -> list[str]:
    if not rows:
        return []
    return [f"{_DECIDE}: agree at a terminal, or in Python with `.accept()` or `.accept('{rows[0][0]}')`."]


def _document(one: Taught) -> dict[str, Any]:
    return {
        "scenario_id": one.id,
        "runs": one.runs,
        "has_baseline": one.has_baseline,
        "compared": one.lesson.runs,
        "differing": one.lesson.differing,
        "left": list(one.lesson.left),
    }
