"""Recordings: what a run did, kept so that it can be replayed without running anything (``format.md`` 5.6).

``{"format": "clnrm-recording/1", "tests": [{"id", "scenarios": [{"name", "commands", "spans"}], "spans"}]}``.
``spans`` are OTLP/JSON with their times, own spans included, so that a replay is whole without inventing
anything; those beside ``scenarios`` belong to the test. Commands have the form of reports, and ``code`` where
they failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.config.project import safe_name
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.phases import SCOPE
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.executor.outcome import TestOutcome

__all__ = [
    "FORMAT",
    "RecordedCommand",
    "RecordedTest",
    "find_recording",
    "parse_recording",
    "recording",
    "recording_file",
]

FORMAT: Final = "clnrm-recording/1"


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """How a command ended when it was recorded."""

    name: str
    exit_code: int | None
    stdout: str
    stderr: str
    duration_ms: float
    truncated: bool
    attempts: int
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class RecordedTest:
    """One test of a recording.

    Parameters
    ----------
    commands : mapping
        By scenario, in order; ``None`` if the file holds spans only, so that nothing is known of commands.
    spans : mapping
        By scenario; ``None``: of the test itself.
    """

    id: str
    commands: Mapping[str, list[RecordedCommand]] | None
    spans: Mapping[str | None, SpanTable] = field(default_factory=dict)


def recording(outcomes: Sequence[TestOutcome]) -> bytes:
    """The recording of finished tests, secrets already masked in what they hold."""
    import orjson

    document = {"format": FORMAT, "tests": [_test(outcome) for outcome in outcomes]}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _test(outcome: TestOutcome) -> dict[str, Any]:
    table = outcome.spans or SpanTable()
    rows: dict[str | None, list[int]] = {}
    for row, scenario in enumerate(table.scenario):
        rows.setdefault(scenario, []).append(row)
    return {
        "id": outcome.id,
        "scenarios": [
            {
                "name": scenario.name,
                "commands": [{**command.to_json(), "code": command.code} for command in scenario.commands],
                "spans": _otlp(table.select(rows.get(scenario.name, []))),
            }
            for scenario in outcome.scenarios
        ],
        "spans": _otlp(table.select(rows.get(None, []))),
    }


def _otlp(table: SpanTable) -> Any:
    import orjson

    from clnrm_nb.spans.loaders import write_otlp_json

    return orjson.Fragment(write_otlp_json(table))


def find_recording(source: Path, test_id: str, *, scenarios: Sequence[str]) -> RecordedTest | None:
    """What is recorded of a test.

    Parameters
    ----------
    source : Path
        A recording, any file of spans, or a directory of ``<safe test id>.json`` or
        ``<safe test id>/recording.json`` (the artifacts directory).
    scenarios : sequence of str
        Names in the test file; spans of a file without commands are shared out among them.

    Raises
    ------
    ClnrmError
        CLN618: the file cannot be read, or no span is in it.
    """
    path = recording_file(source, test_id)
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClnrmError(f"the recording cannot be read: {error}", "CLN618") from error
    tests = parse_recording(data)
    if tests is None:
        return _from_spans(data, path, test_id, scenarios)
    return _matching(tests, test_id)


def recording_file(source: Path, test_id: str) -> Path | None:
    """The file of `source`, a file or a directory, in which a test would be recorded."""
    if not source.is_dir():
        return source
    name = safe_name(test_id)
    places = (source / f"{name}.json", source / name / "recording.json")
    return next((place for place in places if place.is_file()), None)


def _matching(tests: Sequence[RecordedTest], test_id: str) -> RecordedTest | None:
    """The test of that id; else the only one of the same file name: projects are copied and moved."""
    for test in tests:
        if test.id == test_id:
            return test
    same_name = [test for test in tests if test.id.rpartition("/")[2] == test_id.rpartition("/")[2]]
    return same_name[0] if len(same_name) == 1 else None


def parse_recording(data: bytes) -> list[RecordedTest] | None:
    """The tests of a recording; ``None`` if `data` is something else.

    Raises
    ------
    ClnrmError
        CLN618: a recording that is damaged or of a format not known here.
    """
    import orjson

    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    named = document.get("format") if isinstance(document, dict) else None
    if not isinstance(named, str) or not named.startswith("clnrm-recording/"):
        return None
    if named != FORMAT:
        raise ClnrmError(f"the recording has the format {named!r}; only {FORMAT!r} is known", "CLN618")
    try:
        return [_parsed(test) for test in document["tests"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ClnrmError(f"the recording is damaged: {type(error).__name__}: {error}", "CLN618") from error


def _parsed(test: Mapping[str, Any]) -> RecordedTest:
    spans: dict[str | None, SpanTable] = {None: _spans(test.get("spans"), None)}
    commands = {}
    for scenario in test["scenarios"]:
        name = str(scenario["name"])
        commands[name] = [_command(command) for command in scenario["commands"]]
        spans[name] = _spans(scenario.get("spans"), name)
    return RecordedTest(str(test["id"]), commands, spans)


def _command(command: Mapping[str, Any]) -> RecordedCommand:
    return RecordedCommand(
        name=str(command["name"]),
        exit_code=command["exit_code"],
        stdout=command["stdout"],
        stderr=command["stderr"],
        duration_ms=float(command["duration_ms"]),
        truncated=bool(command.get("truncated", False)),
        attempts=int(command.get("attempts", 1)),
        code=command.get("code"),
        reason=command.get("reason"),
    )


def _spans(document: Any, scenario: str | None) -> SpanTable:
    import orjson

    from clnrm_nb.spans.loaders import load

    if not document or not document.get("resourceSpans"):
        return SpanTable()
    table, _ = load(orjson.dumps(document))
    return _owned(table, [scenario] * len(table))


def _owned(table: SpanTable, scenarios: Sequence[str | None]) -> SpanTable:
    table.scenario = list(scenarios)
    table.own = [scope.name == SCOPE for scope in table.scope]
    return table


def _from_spans(data: bytes, path: Path, test_id: str, scenarios: Sequence[str]) -> RecordedTest:
    """Spans without commands: by the resource attribute that clnrm_nb injects, else to the only scenario."""
    from clnrm_nb.spans.loaders import load

    try:
        table, _ = load(data)
    except ClnrmError as error:
        raise ClnrmError(f"{path.name} cannot be replayed: {error.message}", "CLN618") from error
    if not len(table):
        raise ClnrmError(f"{path.name} cannot be replayed: no span was found in it", "CLN618")
    only = scenarios[0] if len(scenarios) == 1 else None
    named = [str(resource.attributes.get("clnrm.scenario", "")) for resource in table.resource]
    table = _owned(table, [name if name in scenarios else only for name in named])
    spans: dict[str | None, SpanTable] = {}
    for owner in {None, *table.scenario}:
        spans[owner] = table.select([row for row, name in enumerate(table.scenario) if name == owner])
    return RecordedTest(test_id, None, spans)
