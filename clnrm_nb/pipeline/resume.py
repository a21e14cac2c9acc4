"""``--resume``: verdicts of the last broken-off run that still hold (``format.md`` 5.5).

A verdict holds while nothing it rests on has changed: the rendered text of the test, the settings that decide
how it runs, and what its services mount read-only. Everything else that was chosen is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clnrm_nb.codes import CODES
from clnrm_nb.errors import UsageError
from clnrm_nb.executor.stored import outcome_from
from clnrm_nb.pipeline.ledger import NO_VERDICT
from clnrm_nb.reaper.ownership import Owner, is_gone
from clnrm_nb.spans.loaders import load as load_spans
from clnrm_nb.state.journal import broken_runs, resumed_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.state import State
    from clnrm_nb.state.journal import Journal, Verdict

__all__ = ["Resumption", "digests_of", "resume", "superseded"]

_DECIDING = {
    "executor": {"backend", "isolation", "replay", "limits", "step_timeout_s", "test_timeout_s"},
    "containers": {"default_image"},
    "security": {"allow"},
}
"""Settings under which a verdict may come out otherwise."""

_EXIT_OF_A_BROKEN_ENGINE = 3


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a run goes on with.

    Parameters
    ----------
    run : str, optional
        The run that broke off; ``None``: there is none.
    outcomes : mapping of str to TestOutcome
        Verdicts taken over, by test.
    recorded_in : mapping of str to str
        For those that stand in the history: the run they stand under.
    spans : mapping of str to str
        Digests of their stored spans.
    """

    run: str | None = None
    outcomes: Mapping[str, TestOutcome] = field(default_factory=dict)
    recorded_in: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, str] = field(default_factory=dict)


def digests_of(tests: Mapping[str, LoadedTest], settings: Settings) -> dict[str, str]:
    """What each test is asked and how; equal digests, equal questions."""
    deciding = {
        section: getattr(settings, section).model_dump(mode="json", include=keys)
        for section, keys in _DECIDING.items()
    }
    head = json.dumps(deciding, sort_keys=True)
    return {test_id: _digest(head, test) for test_id, test in tests.items()}


def _digest(head: str, test: LoadedTest) -> str:
    assert test.checked is not None
    text = test.checked.rendered.text or ""
    return hashlib.sha256(f"{head}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


def resume(
    tests: Mapping[str, LoadedTest], digests: Mapping[str, str], *, journal: Journal, state: State
) -> Resumption:
    """Go on with the last broken-off run that any of `tests` was part of.

    Raises
    ------
    UsageError
        Another process is going on with it: two would give each test two verdicts.
    """
    for broken in broken_runs(state, _is_gone):
        if broken.tests.keys().isdisjoint(tests):
            continue
        keeps = {test_id for test_id in tests if broken.tests.get(test_id) == digests[test_id]}
        verdicts = journal.take_over(broken, digests, keeps)
        if verdicts is not None:
            return _holding(broken.run, verdicts, tests, state)
    if (run := resumed_now(state, tests, _is_gone)) is not None:
        raise UsageError(
            f"run {run} is being resumed by another process", hint="Wait until that one has ended."
        )
    return Resumption()


def superseded(tests: Mapping[str, object], state: State) -> list[str]:
    """Broken-off runs that held nothing but some of these tests, which now have a verdict."""
    return [broken.run for broken in broken_runs(state, _is_gone) if broken.tests.keys() <= tests.keys()]


def _holding(
    run: str, verdicts: Mapping[str, Verdict], tests: Mapping[str, LoadedTest], state: State
) -> Resumption:
    outcomes: dict[str, TestOutcome] = {}
    for test_id, verdict in verdicts.items():
        if not _has_changed(tests[test_id], verdict.at) and (outcome := _outcome(verdict, state)):
            outcomes[test_id] = outcome
    return Resumption(
        run,
        outcomes,
        {name: where for name in outcomes if (where := verdicts[name].recorded_in)},
        {name: spans for name in outcomes if (spans := verdicts[name].spans)},
    )


def _outcome(verdict: Verdict, state: State) -> TestOutcome | None:
    """The outcome as it was; ``None`` where it cannot be told or was no verdict on the test."""
    try:
        content = None if verdict.spans is None else state.get_object(verdict.spans)
        if verdict.spans is not None and content is None:
            return None
        table = None if content is None else load_spans(content)[0]
        outcome = outcome_from(verdict.document, table)
    except (KeyError, TypeError, ValueError):
        return None
    exits = [CODES[each.code].exit_code for each in outcome.diagnostics if each.severity == "error"]
    if outcome.status in NO_VERDICT or (
        outcome.status == "error" and (not exits or max(exits) == _EXIT_OF_A_BROKEN_ENGINE)
    ):
        return None
    outcome.taken_over_from = verdict.origin
    told = f"taken over from run {verdict.origin}"
    outcome.reason = f"{outcome.reason}; {told}" if outcome.reason else told
    return outcome


def _has_changed(test: LoadedTest, at: str) -> bool:
    """Whether anything that is mounted read-only was touched since a run began.

    What may be written to is left out: the test itself may have done so.
    """
    began_s = datetime.fromisoformat(at).timestamp()
    assert test.test is not None
    places = {
        test.directory / Path(os.path.expandvars(volume.host_path)).expanduser()
        for service in test.test.services.values()
        for volume in service.volumes
        if volume.read_only
    }
    # The time of the change of the inode cannot be set by programs that keep times, such as `cp -p`.
    return any(status.st_ctime > began_s for place in places for status in _below(place))


def _below(place: Path) -> Iterator[os.stat_result]:
    try:
        yield place.stat()
        for entry in place.rglob("*"):
            yield entry.lstat()
    except OSError:
        return


def _is_gone(owner: str) -> bool:
    parsed = Owner.parse(owner)
    return parsed is not None and is_gone(parsed)
