"""``repro``: a recorded run again, and whether it came to the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.api.retelling import JUDGED, NO_ANSWER, PASSED, run_only, told, whole_digest
from clnrm_nb.api.running import prepare
from clnrm_nb.baseline.snapshot import RecordedResult, Snapshot
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.outcome import ExpectationResult
from clnrm_nb.executor.recording import parse_recording
from clnrm_nb.pipeline.load import Variables
from clnrm_nb.report.files import write_report
from clnrm_nb.report.text import number_text
from clnrm_nb.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.api.running import Prepared
    from clnrm_nb.config.project import Project
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.report.results import RunResult

__all__ = ["repro"]


def repro(
    file: str | Path,
    *,
    verify_digest: bool = False,
    output: str | Path | None = None,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """Run again what ``record`` kept, and say whether it came to the same.

    Parameters
    ----------
    file : path
        A ``baseline.json``. Its digest is always checked against its content.
    verify_digest : bool
        Before anything runs, also check ``baseline.sha256`` beside it and the recording it names.
    output : path, optional
        Also write the JSON document of the result there.

    Returns
    -------
    RunResult
        ``exit_code`` 0 if every test passed or failed as recorded and the spans are the same, else 1. Times
        are not compared.

    Raises
    ------
    UsageError
        `file` is no such file, or holds a value that was hidden when it was recorded.
    ClnrmError
        CLN702: it, or what it names, is not what was recorded. CLN001: it cannot be read.
    """
    here = context_of(context, options)
    refuse_unknown("repro", options)
    name = str(file)
    snapshot = Snapshot.parse(_read(Path(file), name), name)
    if verify_digest:
        _verify(Path(file), name, snapshot, here.project)
    files = dict.fromkeys(here.project.root / result.file_path for result in snapshot.test_results)
    prepared = prepare(list(files), None, here, options)
    held = {"seed": snapshot.seed, "freeze_clock": snapshot.freeze_clock}
    prepared = replace(
        prepared,
        request=replace(
            prepared.request,
            variables=Variables(
                given=_shown_variables(snapshot, name),
                environ=dict(os.environ),
                determinism={key: value for key, value in held.items() if value is not None},
            ),
            only=[result.name for result in snapshot.test_results],
            # What is stored would only reproduce itself.
            force=True,
        ),
    )
    result = run_only(prepared, listener)
    _compare(prepared, result, snapshot)
    if output is not None:
        try:
            write_report(result, Path(output), "json")
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}") from None
    return result


def _shown_variables(snapshot: Snapshot, name: str) -> Mapping[str, Any]:
    hidden = [key for key, value in snapshot.vars.items() if MASK in str(value)]
    if hidden:
        raise UsageError(
            f"`{name}` does not hold the value of `{hidden[0]}`: it was a secret when it was recorded",
            hint="pass secrets by the environment (`[secrets]`), not as template variables",
        )
    return snapshot.vars


def _compare(prepared: Prepared, result: RunResult, snapshot: Snapshot) -> None:
    """Hold the run against the snapshot, and make that what it came to."""
    now = {outcome.id: outcome for outcome in result.outcomes}
    checks = {one.name: [_flag_check(one, now.get(one.name))] for one in snapshot.test_results}
    digest = whole_digest(outcome.spans for outcome in result.outcomes)
    is_same = digest == snapshot.trace_digest
    changed = [] if is_same else _changed(snapshot, now, prepared.here.project)
    for test_id in changed:
        checks[test_id].append(_digest_check(snapshot.trace_digest, digest))
    flags = [check.message for mine in checks.values() for check in mine if check.status == "failed"]
    differences = [*flags, *([] if is_same or changed else ["the trace differs from the recorded one"])]
    exit_code = result.exit_code if result.exit_code in NO_ANSWER else int(bool(differences))
    sentence = f"reproduced: {number_text(len(checks), 'test')} as recorded at {snapshot.timestamp}"
    if result.exit_code in NO_ANSWER:
        sentence = "not compared: the run did not come to its end"
    elif differences:
        sentence = f"not reproduced: {number_text(len(differences), 'difference')}"
    data = {
        "trace_digest": digest,
        "recorded_trace_digest": snapshot.trace_digest,
        "differences": differences,
    }
    told(prepared, result, "repro", exit_code, sentence, notes=differences, checks=checks, data=data)


def _flag_check(recorded: RecordedResult, outcome: TestOutcome | None) -> ExpectationResult:
    status = outcome.status if outcome else "not run"
    is_same = outcome is not None and outcome.status in JUDGED and (status in PASSED) == recorded.passed
    was = "passed" if recorded.passed else "did not pass"
    return ExpectationResult(
        id="repro.passed",
        kind="assertion",
        status="passed" if is_same else "failed",
        message=f"{recorded.name}: {was} when it was recorded, is {status} now",
        expected="passed" if recorded.passed else "not passed",
        actual=status,
    )


def _digest_check(recorded: str | None, digest: str | None) -> ExpectationResult:
    return ExpectationResult(
        id="repro.trace_digest",
        kind="trace",
        status="failed",
        message="its spans are not those that were recorded",
        expected=recorded,
        actual=digest,
    )


def _changed(snapshot: Snapshot, now: Mapping[str, TestOutcome], project: Project) -> list[str]:
    """The tests whose spans differ, as far as the recording is still there to tell."""
    try:
        recorded = _recorded_digests(snapshot, project)
    except ClnrmError:
        return []
    return [
        one.name
        for one in snapshot.test_results
        if one.name in now and recorded.get(one.name) != whole_digest([now[one.name].spans])
    ]


def _recorded_digests(snapshot: Snapshot, project: Project) -> dict[str, str | None]:
    """Digest of each test's spans in the recording, and under "" that of all together."""
    if snapshot.spans_file is None:
        raise ClnrmError("no recording is named", "CLN702")
    path = project.root / snapshot.spans_file
    tests = parse_recording(_read(path, snapshot.spans_file))
    if tests is None:
        raise ClnrmError(f"`{snapshot.spans_file}` is no recording", "CLN702")
    digests = {test.id: whole_digest(test.spans.values()) for test in tests}
    return {**digests, "": whole_digest(table for test in tests for table in test.spans.values())}


def _verify(file: Path, name: str, snapshot: Snapshot, project: Project) -> None:
    beside = file.with_suffix(".sha256")
    if _read(beside, str(beside)).decode("ascii", "replace").strip() != snapshot.digest:
        raise ClnrmError(
            f"`{beside}` is not the digest of `{name}`", "CLN702", hint="one of them was changed"
        )
    if _recorded_digests(snapshot, project)[""] != snapshot.trace_digest:
        raise ClnrmError(
            f"the spans in `{snapshot.spans_file}` are not those that `{name}` was recorded with", "CLN702"
        )


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClnrmError(f"cannot read `{name}`: {error.strerror}", "CLN001") from None
