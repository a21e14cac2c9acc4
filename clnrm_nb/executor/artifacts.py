"""What a test leaves for people to look at: ``.clnrm/artifacts/<safe test id>/`` (``format.md`` 5.6).

A directory for each scenario with its spans and the output of its commands; spans that belong to the test
and the logs of its services beside them; ``recording.json``, from which the test can be replayed. All of it
is written aside and put in place at once, so that a reader sees the last run or this one, never a mixture.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.project import safe_name
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.recording import recording
from clnrm_nb.executor.scenarios import scenarios_of
from clnrm_nb.executor.scratch import scratch
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.model import Event
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.executor.backends.protocol import Unit
    from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Scenario, TestFile

__all__ = [
    "ARTIFACTS",
    "ServiceLog",
    "artifact_directory",
    "collect_files",
    "places_of_files",
    "staging",
    "write_artifacts",
]

ARTIFACTS: Final = "artifacts"
_ALL_SPANS: Final = frozenset({"default", "all"})


@dataclass(frozen=True, slots=True)
class ServiceLog:
    """Everything a service printed, secrets masked."""

    stdout: bytes
    stderr: bytes


def artifact_directory(state_dir: Path, test_id: str) -> Path:
    """Where the artifacts of a test are."""
    return state_dir / ARTIFACTS / safe_name(test_id)


@contextmanager
def staging(state_dir: Path, test_id: str) -> Iterator[Path]:
    """A directory to write into that becomes the test's artifact directory when the block ends well.

    Raises
    ------
    OSError
        It cannot be made or put in place; then nothing has changed.
    """
    target = artifact_directory(state_dir, test_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch(".writing-", target.parent) as fresh:
        yield fresh
        _replace(fresh, target)


def _replace(fresh: Path, target: Path) -> None:
    """Put a directory in another one's place, which the system call cannot do unless that one is empty."""
    fresh.chmod(0o755)
    with scratch(".old-", target.parent) as old:
        if target.exists():
            target.replace(old)
        fresh.replace(target)


async def collect_files(unit: Unit, plan: TestPlan, directory: Path) -> list[Diagnostic]:
    """Copy what ``files:`` asks for out of the unit; a finding for each that matched nothing."""
    findings = []
    for scenario in plan.test.scenarios:
        service = _place_of(scenario)
        for spec in scenario.artifacts:
            if spec.kind != "files":
                continue
            target = directory / safe_name(scenario.name) / "files"
            if not await unit.read_files(service, spec.value, target):
                where = f"service `{service}`" if service else "the runner container"
                text = f"no file matches `files:{spec.value}` in {where}"
                findings.append(Diagnostic("CLN001", text, severity="warning", scenario=scenario.name))
    return findings


def places_of_files(test: TestFile) -> set[str | None]:
    """Services whose files are asked for; ``None``: the runner container."""
    return {_place_of(each) for each in test.scenarios if any(one.kind == "files" for one in each.artifacts)}


def _place_of(scenario: Scenario) -> str | None:
    """Where the files of a scenario are looked for: its service, or that of its first command."""
    return scenario.service or next((step.service for step in (*scenario.run, *scenario.steps)), None)


def write_artifacts(
    directory: Path, plan: TestPlan, outcome: TestOutcome, logs: Mapping[str, ServiceLog]
) -> None:
    """Write spans, logs and the recording of a test whose spans are final."""
    table = outcome.spans or SpanTable()
    shown = _frozen(table, plan.test.determinism.freeze_clock)
    rows = _rows_by_scenario(table)
    _write_spans(directory / "spans.json", shown.select(rows.get(None, [])))
    for scenario, result in zip(scenarios_of(plan.test), outcome.scenarios, strict=True):
        place = directory / safe_name(scenario.name)
        place.mkdir(exist_ok=True)
        _write_scenario(place, scenario, result, shown.select(rows.get(scenario.name, [])))
    for name, log in logs.items():
        place = directory / "services"
        place.mkdir(exist_ok=True)
        (place / f"{safe_name(name)}.stdout.log").write_bytes(log.stdout)
        (place / f"{safe_name(name)}.stderr.log").write_bytes(log.stderr)
    (directory / "recording.json").write_bytes(recording([outcome]))


def _rows_by_scenario(table: SpanTable) -> dict[str | None, list[int]]:
    rows: dict[str | None, list[int]] = {}
    for row, scenario in enumerate(table.scenario):
        rows.setdefault(scenario, []).append(row)
    return rows


def _write_scenario(place: Path, scenario: Scenario, outcome: ScenarioOutcome, spans: SpanTable) -> None:
    _write_spans(place / "spans.json", spans)
    for spec in scenario.artifacts:
        if spec.kind == "spans":
            _write_spans(place / f"spans-{safe_name(spec.value)}.json", _named(spans, spec.value))
    for stream in ("stdout", "stderr"):
        texts = [getattr(command, stream) for command in outcome.commands]
        (place / f"{stream}.log").write_text("".join(texts), encoding="utf-8", newline="")


def _named(spans: SpanTable, name: str) -> SpanTable:
    """A named set: ``default`` and ``all`` are all spans, else those whose name or service matches."""
    if name in _ALL_SPANS:
        return spans
    pattern = NamePattern.of(name)
    rows = [
        row
        for row in range(len(spans))
        if pattern.matches(spans.name[row]) or pattern.matches(spans.resource[row].service)
    ]
    return spans.select(rows)


def _write_spans(path: Path, spans: SpanTable) -> None:
    from clnrm_nb.spans.loaders import write_otlp_json

    path.write_bytes(write_otlp_json(spans))


def _frozen(table: SpanTable, instant: str | None) -> SpanTable:
    """With a frozen clock: all times moved together, so that the earliest start is that instant."""
    starts = [start for start in table.start_ns if start is not None]
    if instant is None or not starts:
        return table
    moment = datetime.fromisoformat(instant)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    shift = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000 - min(starts)
    moved = table.select(range(len(table)))
    moved.start_ns = [None if time is None else time + shift for time in table.start_ns]
    moved.end_ns = [None if time is None else time + shift for time in table.end_ns]
    moved.events = [
        tuple(Event(e.name, None if e.time_ns is None else e.time_ns + shift, e.attributes) for e in events)
        for events in table.events
    ]
    return moved
