"""What earlier runs say about tests: how often they passed, how long they took, and whether they are flaky.

Flaky is a claim about a test, and it is only made with two runs in hand: equal inputs, judged alike, and
unequal verdicts (:mod:`clnrm_nb.state.evidence`). A test that failed now and then while its inputs changed
may have had every reason to.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.state.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.state.evidence import Contradiction
    from clnrm_nb.state.store import State

__all__ = ["RunRecord", "Statistics", "records_of", "statistics_of"]

_EXECUTED: Final = frozenset({"passed", "failed", "error", "incomplete", "flaky"})
_EWMA_WEIGHT: Final = 0.3
"""Of the newest duration; half of the average is the last two runs."""

_COLUMNS: Final = "run, at, test_id, status, duration_ms, cached, backend, trace_digest, hash, hash_reason"

RunRecord = dict[str, Any]
"""A row of :meth:`State.history` with ``hash`` and ``hash_reason``."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One test over its last runs.

    Parameters
    ----------
    runs : int
        How often it was executed: not from the cache, not skipped, not interrupted.
    passed : int
        Of these; what passed in a retry did not.
    median_ms, p95_ms, ewma_ms : float or None
        Of executed runs that were judged; the moving average weighs the newest run with 0.3.
    cached : int
        How often its result was taken from the cache.
    status : str
        The last one.
    contradiction : Contradiction or None
        The proof that it is flaky.
    unproven : str or None
        Verdicts differed, and why that proves nothing.
    """

    test_id: str
    runs: int
    passed: int
    median_ms: float | None
    p95_ms: float | None
    ewma_ms: float | None
    cached: int
    status: str
    contradiction: Contradiction | None
    unproven: str | None

    def to_json(self) -> dict[str, Any]:
        """One entry of ``data.statistics``."""
        return {
            "test_id": self.test_id,
            "runs": self.runs,
            "passed": self.passed,
            "pass_rate": round(self.passed / self.runs, 4) if self.runs else None,
            "median_ms": _rounded(self.median_ms),
            "p95_ms": _rounded(self.p95_ms),
            "ewma_ms": _rounded(self.ewma_ms),
            "cached": self.cached,
            "status": self.status,
            "flaky": self.contradiction is not None,
            "evidence": self.contradiction.to_json() if self.contradiction else None,
            "reason": self.unproven,
        }


def records_of(state: State, limit: int) -> list[RunRecord]:
    """The last `limit` rows of every test, newest first."""
    rows = state.read(
        # Columns by name: documents are large, and the window would copy them.
        f"SELECT {_COLUMNS} FROM (SELECT seq, {_COLUMNS}, "  # noqa: S608  # Constants.
        "row_number() OVER (PARTITION BY test_id ORDER BY seq DESC) AS age FROM results) "
        "WHERE age <= ? ORDER BY seq DESC",
        (limit,),
    )
    return [{**dict(row), "cached": bool(row["cached"])} for row in rows]


def statistics_of(state: State, records: Sequence[RunRecord]) -> list[Statistics]:
    """One entry a test, by id.

    Parameters
    ----------
    state : State
        Holds the evidence.
    records : sequence of RunRecord
        Newest first; older runs prove nothing any more.
    """
    by_test: dict[str, list[RunRecord]] = {}
    for record in records:
        by_test.setdefault(record["test_id"], []).append(record)
    since = {test_id: min(record["run"] for record in mine) for test_id, mine in by_test.items()}
    proofs = Evidence(state).contradictions(since)
    return [_of_test(test_id, by_test[test_id], proofs.get(test_id)) for test_id in sorted(by_test)]


def _of_test(test_id: str, records: Sequence[RunRecord], proof: Contradiction | None) -> Statistics:
    executed = [record for record in records if record["status"] in _EXECUTED and not record["cached"]]
    judged = [record for record in executed if record["status"] != "error"]
    oldest_first = [each["duration_ms"] for each in reversed(judged) if each["duration_ms"] is not None]
    return Statistics(
        test_id=test_id,
        runs=len(executed),
        passed=sum(record["status"] == "passed" for record in executed),
        median_ms=median(oldest_first) if oldest_first else None,
        p95_ms=_p95(oldest_first),
        ewma_ms=_ewma(oldest_first),
        cached=sum(record["cached"] for record in records),
        status=records[0]["status"],
        contradiction=proof,
        unproven=None if proof else _why_unproven(judged),
    )


def _why_unproven(judged: Sequence[RunRecord]) -> str | None:
    if len({record["status"] for record in judged}) <= 1:
        return None
    without = [record for record in judged if record["hash"] is None]
    if without:
        return without[0]["hash_reason"] or "some of its runs have no hash"
    return "its inputs or expectations differed wherever its verdicts did"


def _p95(values: Sequence[float]) -> float | None:
    if len(values) < 2:  # noqa: PLR2004  # Of one value, that value is all there is to say.
        return values[0] if values else None
    return quantiles(values, n=20, method="inclusive")[-1]


def _ewma(values: Sequence[float]) -> float | None:
    average: float | None = None
    for value in values:
        average = value if average is None else average + _EWMA_WEIGHT * (value - average)
    return average


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
