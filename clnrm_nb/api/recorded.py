"""``record``: a run kept so that it can be replayed, and held against a later one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown, variables_from
from clnrm_nb.api.retelling import JUDGED, NO_ANSWER, PASSED, run_only, told, whole_digest
from clnrm_nb.api.running import prepare
from clnrm_nb.baseline import BaselineReview
from clnrm_nb.baseline.snapshot import RecordedResult, Snapshot
from clnrm_nb.config.writing import write_atomically
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.outcome import ExpectationResult
from clnrm_nb.executor.plan import STEPS
from clnrm_nb.executor.recording import recording
from clnrm_nb.expect.claim import NO_SPANS
from clnrm_nb.pipeline.load import load
from clnrm_nb.pipeline.secrets import masker_of
from clnrm_nb.pipeline.tolerating import terms_of
from clnrm_nb.report.text import json_ready, number_text
from clnrm_nb.spans.canonical import of_scenario
from clnrm_nb.state import State
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.api.running import Paths
    from clnrm_nb.errors import Location
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.report.results import RunResult

__all__ = ["record"]


def record(
    paths: Paths = ".",
    *,
    output: str | Path | None = None,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """Run tests and keep what they did: a recording to replay, and a baseline to reproduce.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    output : path, optional
        Where the recording goes (default: ``.clnrm/recording.json``); ``--replay`` takes it.

    Returns
    -------
    RunResult
        Also where tests fail: a failure can be reproduced too. ``.clnrm/baseline.json`` holds the verdicts;
        scenarios of passed tests that had no accepted trace have their first one. Under ``--ci`` none is
        accepted. A scenario of theirs that gave no spans is CLN607, and ``exit_code`` 1: there is nothing to
        hold a later run against.
    """
    here = context_of(context, options)
    refuse_unknown("record", options)
    given = dict(options)
    prepared = prepare(paths, None, here, options)
    result = run_only(prepared, listener)
    judged = [outcome for outcome in result.outcomes if outcome.status in JUDGED]
    if result.exit_code in NO_ANSWER and (not judged or result.exit_code != 2):  # noqa: PLR2004  # Files beside an invalid one are recorded.
        sentence = "nothing was recorded: the run did not come to its end"
        return told(prepared, result, "record", result.exit_code, sentence)
    if not judged:
        return told(prepared, result, "record", result.exit_code, "nothing was recorded: no test was run")
    file = Path(output) if output is not None else here.project.state_dir / "recording.json"
    baseline = here.project.state_dir / "baseline.json"
    _write(file, recording(judged))
    # Loaded again only for what files say and results do not hold.
    loaded = load(
        prepared.request.sources, prepared.request.variables, project=here.project, settings=here.settings
    )
    snapshot = _snapshot(result, judged, loaded.tests, here.project.relative(file), given)
    _write(baseline, snapshot.to_bytes())
    _write(baseline.with_suffix(".sha256"), f"{snapshot.digest}\n".encode())
    silent = _silent(judged, loaded.tests)
    verdict = "" if result.ok else f"{result.headline}; "
    if silent:
        verdict += f"{number_text(sum(map(len, silent.values())), 'scenario')} gave no spans (CLN607); "
    sentence = f"{verdict}{number_text(len(judged), 'test')} recorded in {here.project.relative(file)}"
    notes = [f"{here.project.relative(baseline)} holds the verdicts; `clnrm repro` runs them again"]
    left = len(result.outcomes) - len(judged)
    if left:
        notes.append(f"{number_text(left, 'test')} not judged and not recorded")
    accepted = _accept_first(judged, here)
    data = {
        "recording": here.project.relative(file),
        "baseline": here.project.relative(baseline),
        "digest": snapshot.digest,
        "trace_digest": snapshot.trace_digest,
        "accepted": [word for word, refused in accepted if refused is None],
    }
    notes += [f"{one}: {refused or 'accepted as version 1'}" for one, refused in accepted]
    exit_code = max(result.exit_code, int(bool(silent)))
    return told(prepared, result, "record", exit_code, sentence, notes=notes, checks=silent, data=data)


def _snapshot(
    result: RunResult,
    judged: Sequence[TestOutcome],
    loaded: Sequence[LoadedTest],
    spans_file: str,
    options: dict[str, Any],
) -> Snapshot:
    names = {outcome.id for outcome in judged}
    chosen = [test for test in loaded if test.test_id in names]
    tests = [test.test for test in chosen if test.test is not None]
    files = {test.test_id: test.test.file for test in loaded if test.test is not None}
    variables = variables_from(options)
    mask = masker_of(chosen, variables.environ).text
    return Snapshot(
        timestamp=result.raw["started_at"],
        version=__version__,
        test_results=tuple(
            RecordedResult(one.id, one.status in PASSED, round(one.duration_ms, 3), files.get(one.id, one.id))
            for one in judged
        ),
        spans_file=spans_file,
        trace_digest=whole_digest(outcome.spans for outcome in judged),
        seed=_common(test.determinism.seed for test in tests),
        freeze_clock=_common(test.determinism.freeze_clock for test in tests),
        vars=json_ready({**variables.parameters, **variables.given}, mask),
    )


def _common(values: Iterable[Any]) -> Any:
    """What all tests agree on; ``None`` where they do not."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _accept_first(judged: Sequence[TestOutcome], here: Context) -> list[tuple[str, str | None]]:
    """Give scenarios without a baseline their first one: (id, why not), as far as their tests passed."""
    if here.ci:
        return []
    with State.open(here.project.state_dir) as state:
        review = BaselineReview(here.project, state)
        traced = [one for outcome in judged for one in _traced(outcome)]
        missing = [one for one in traced if not review.store.path(one).exists()]
        if not missing:
            return []
        try:
            decided = review.accept(missing, skip_refused=True, message="clnrm record")
        except ClnrmError as error:
            # What was recorded stays recorded.
            return [(one, f"not accepted: {error.message}") for one in missing]
    return [(one.id, one.refused) for one in decided]


def _traced(outcome: TestOutcome) -> list[str]:
    """Ids below which a passed test left spans of its own: scenarios, and the test's level."""
    if outcome.status not in PASSED or outcome.spans is None:
        return []
    levels = {f"{outcome.id}::{scenario.name}": scenario.name for scenario in outcome.scenarios}
    places: dict[str, str | None] = {**levels, outcome.id: None}
    return [one for one, name in places.items() if len(of_scenario(outcome.spans, name))]


def _silent(
    judged: Sequence[TestOutcome], loaded: Sequence[LoadedTest]
) -> dict[str, list[ExpectationResult]]:
    """By test id: scenarios of passed tests that gave no spans, where their file does not ask for none."""
    places = terms_of(loaded)
    asked_for = {one.test_id for one in loaded if one.test and one.test.otel.exporter == "none"}
    return {
        outcome.id: [_silence(name, places[outcome.id].place(name)) for name in names]
        for outcome in judged
        if outcome.status in PASSED and outcome.id not in asked_for and (names := _without_spans(outcome))
    }


def _silence(name: str, place: Location | None) -> ExpectationResult:
    return ExpectationResult(
        id="record.spans",
        kind="trace",
        status="failed",
        message="it gave no spans, so there is nothing to hold a later run against: "
        '`clnrm explain CLN607` says what to check; `exporter = "none"` below `[otel]` says that it has none',
        reason=NO_SPANS,
        file=place.file if place else None,
        line=place.line if place else None,
        scenario=name,
    )


def _without_spans(outcome: TestOutcome) -> list[str]:
    """Names of scenarios; none where spans stayed at the level of the test, which may be theirs."""
    traced = _traced(outcome)
    if outcome.id in traced:
        return []
    names = [one.name for one in outcome.scenarios if f"{outcome.id}::{one.name}" not in traced]
    # Beside scenarios that gave spans, steps are what prepares them.
    return [name for name in names if name != STEPS or not traced]


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
