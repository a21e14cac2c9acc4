"""DataFrames of results: columns and dtypes of ``format.md`` 12, the same for no rows as for many.

Pandas is imported when a frame is asked for, never before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import CODES, SEVERITIES, STATUSES
from clnrm_nb.diff.model import OPS
from clnrm_nb.diff.model import STATUSES as SPAN_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

__all__ = [
    "REVIEWS",
    "baselines_frame",
    "cache_frame",
    "diagnostics_frame",
    "edits_frame",
    "evolution_frame",
    "expectations_frame",
    "frame_of",
    "history_frame",
    "measures_frame",
    "pairs_frame",
    "result_frame",
    "statistics_frame",
]

Dtype = str | tuple[str, ...]
"""A pandas dtype by name, ``dt``, or the words of a category in order."""

BACKENDS: Final = ("docker", "auto", "process", "replay", "dask")
LEVELS: Final = ("test", "scenario", "step")
KINDS: Final = (
    "span",
    "counts",
    "graph",
    "window",
    "order",
    "status",
    "hermeticity",
    "resource",
    "trace",
    "assertion",
)
VERDICTS: Final = ("passed", "failed", "not-evaluated")
REVIEWS: Final = ("pending", "accepted", "rejected", "rule", "skipped")

_RESULT: Final[Mapping[str, Dtype]] = {
    "level": LEVELS,
    "test_id": "string",
    "scenario": "string",
    "step": "string",
    "service": "string",
    "status": STATUSES,
    "reason": "string",
    "duration_ms": "Float64",
    "cached": "boolean",
    "stored_status": STATUSES,
    "attempts": "Int64",
    "exit_code": "Int64",
    "backend": BACKENDS,
    "hermetic": "boolean",
    "replayed": "boolean",
    "span_count": "Int64",
    "trace_digest": "string",
    "matrix": "object",
    "argv": "object",
    "stdout": "string",
    "stderr": "string",
    "hash": "string",
}
_EXPECTATIONS: Final[Mapping[str, Dtype]] = {
    "test_id": "string",
    "scenario": "string",
    "id": "string",
    "kind": KINDS,
    "status": VERDICTS,
    "reason": "string",
    "message": "string",
    "expected": "object",
    "actual": "object",
    "file": "string",
    "line": "Int64",
}
_DIAGNOSTICS: Final[Mapping[str, Dtype]] = {
    "file": "string",
    "line": "Int64",
    "column": "Int64",
    "end_line": "Int64",
    "end_column": "Int64",
    "code": tuple(CODES),
    "severity": SEVERITIES,
    "message": "string",
    "hint": "string",
    "fixable": "boolean",
}
_HISTORY: Final[Mapping[str, Dtype]] = {
    "run": "string",
    "at": "dt",
    "test_id": "string",
    "status": STATUSES,
    "duration_ms": "Float64",
    "cached": "boolean",
    "backend": BACKENDS,
    "trace_digest": "string",
}
_MEASURES: Final[Mapping[str, Dtype]] = {
    "run": "string",
    "at": "dt",
    "tests": "Int64",
    "duration_ms": "Float64",
    "hits": "Int64",
    "rejudged": "Int64",
    "misses": "Int64",
    "pool_hits": "Int64",
    "pool_misses": "Int64",
    "queue_wait_p50_ms": "Float64",
    "reaction_ms": "Float64",
    "diagnostics_ms": "Float64",
    "start_ms": "Float64",
    "verdict_ms": "Float64",
    "spans": "Int64",
    "peak_memory_mb": "Float64",
}
_STATISTICS: Final[Mapping[str, Dtype]] = {
    "test_id": "string",
    "runs": "Int64",
    "passed": "Int64",
    "pass_rate": "Float64",
    "median_ms": "Float64",
    "p95_ms": "Float64",
    "ewma_ms": "Float64",
    "cached": "Int64",
    "status": STATUSES,
    "flaky": "boolean",
    "evidence": "object",
    "reason": "string",
}
_CACHE: Final[Mapping[str, Dtype]] = {
    "test_id": "string",
    "hash": "string",
    "status": STATUSES,
    "stored_status": STATUSES,
    "reason": "string",
    "duration_ms": "Float64",
    "last_used": "dt",
    "updated": "dt",
}
_EDITS: Final[Mapping[str, Dtype]] = {
    "test_id": "string",
    "scenario": "string",
    "edit_id": "string",
    "cause_id": "string",
    "op": OPS,
    "status": SPAN_STATUSES,
    "path": "string",
    "key": "string",
    "baseline": "object",
    "current": "object",
    "cost": "Int64",
    "counted": "boolean",
    "rule": "string",
    "reason": "string",
    "score": "Float64",
    "runner_up": "string",
    "runner_up_score": "Float64",
    "runner_up_cost": "Int64",
    "review": REVIEWS,
}
_PAIRS: Final[Mapping[str, Dtype]] = {
    "test_id": "string",
    "scenario": "string",
    "status": SPAN_STATUSES,
    "path": "string",
    "baseline_path": "string",
    "name": "string",
    "baseline_name": "string",
    "n_edits": "Int64",
    "duration_ms": "Float64",
    "baseline_duration_ms": "Float64",
}
_BASELINES: Final[Mapping[str, Dtype]] = {
    "scenario_id": "string",
    "version": "Int64",
    "in_use": "boolean",
    "composed": "boolean",
    "digest": "string",
    "spans": "Int64",
    "accepted_at": "dt",
    "accepted_by": "string",
    "reason": "string",
}

_EVOLUTION: Final[Mapping[str, Dtype]] = {
    "scenario_id": "string",
    "version": "Int64",
    "action": ("accept", "restore", ""),
    "in_use": "boolean",
    "composed": "boolean",
    "digest": "string",
    "spans": "Int64",
    **dict.fromkeys(("added", "missing", "changed", "moved", "renamed"), "Int64"),
    **dict.fromkeys(("edits", "causes", "cost"), "Int64"),
    "accepted_at": "dt",
    "accepted_by": "string",
    "reason": "string",
    "change": "string",
}


def frame_of(dtypes: Mapping[str, Dtype], rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """A frame with exactly these columns and dtypes; keys a row lacks are missing values.

    A word that its category does not list (a backend of someone else's) is added at its end, never dropped.
    """
    import pandas as pd

    return pd.DataFrame(
        {name: _column(dtype, [row.get(name) for row in rows]) for name, dtype in dtypes.items()}
    )


def _column(dtype: Dtype, values: list[Any]) -> Any:
    import pandas as pd

    if isinstance(dtype, tuple):
        words = [*dtype, *dict.fromkeys(v for v in values if v is not None and v not in dtype)]
        return pd.Series(pd.Categorical(values, categories=words))
    if dtype == "dt":
        return pd.Series(pd.to_datetime(values, utc=True, format="ISO8601")).astype("datetime64[ns, UTC]")
    return pd.Series(values, dtype=dtype)


def result_frame(tests: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Tests, their scenarios, their steps: one row each, a whole before its parts."""
    rows: list[Mapping[str, Any]] = []
    for test in tests:
        shared = {
            "test_id": test["id"],
            **{key: test.get(key) for key in ("cached", "stored_status", "backend", "hermetic", "replayed")},
        }
        own = ("status", "reason", "duration_ms", "span_count", "matrix", "hash")
        rows.append({"level": "test", **shared, **{key: test.get(key) for key in own}})
        for scenario in test["scenarios"]:
            mine = ("status", "reason", "duration_ms", "span_count", "trace_digest")
            named = {**shared, "scenario": scenario["name"]}
            rows.append({"level": "scenario", **named, **{key: scenario.get(key) for key in mine}})
            rows += [
                {"level": "step", **command, **named, "step": command["name"]}
                for command in scenario["commands"]
            ]
    return frame_of(_RESULT, rows)


def expectations_frame(tests: Iterable[Mapping[str, Any]]) -> DataFrame:
    """One row an expectation."""
    rows = [{**result, "test_id": test["id"]} for test in tests for result in test["expectations"]]
    return frame_of(_EXPECTATIONS, rows)


def diagnostics_frame(findings: Iterable[Mapping[str, Any]]) -> DataFrame:
    """One row a finding."""
    return frame_of(_DIAGNOSTICS, [{**finding, "fixable": "fix" in finding} for finding in findings])


def history_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a test of an earlier run."""
    return frame_of(_HISTORY, rows)


def cache_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a stored result."""
    return frame_of(_CACHE, rows)


def statistics_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a test: what its last runs say about it."""
    return frame_of(_STATISTICS, rows)


def measures_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a run: what it measured about itself."""
    return frame_of(_MEASURES, rows)


def edits_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row an edit of a diff."""
    return frame_of(_EDITS, rows)


def pairs_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a span of either or both sides of a diff."""
    return frame_of(_PAIRS, rows)


def baselines_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row a version of a baseline."""
    return frame_of(_BASELINES, rows)


def evolution_frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """One row an accepted version: what it holds, and what it changed."""
    return frame_of(_EVOLUTION, rows)
