"""When a test gets another attempt, and what is told of its earlier ones (``--retries``, ``format.md`` 5.5).

The pause before each further attempt doubles, so that what was overloaded is left alone for longer and
longer; a part of it is drawn by lot, so that tests that failed together do not come back together. The lot
is a digest of run, test and attempt: the same run pauses the same way. Whoever pauses holds nothing: the
pool takes back the test's slot and all it had reserved.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.outcome import AttemptOutcome, fails_run

if TYPE_CHECKING:
    from clnrm_nb.codes import Status
    from clnrm_nb.config.keys import Executor
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["Retries", "pause_s"]

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0

# An error is no verdict on the test: another attempt would meet the same file, refusal or engine.
_RETRIED: Final[frozenset[Status]] = frozenset({"failed", "incomplete"})


def pause_s(run_id: str, test_id: str, attempt: int) -> float:
    """Seconds between an attempt and the next: between a half and the whole of an exponential.

    Parameters
    ----------
    attempt : int
        The one that has ended, from 1.

    Examples
    --------
    >>> 0.1 <= pause_s("01J", "a.clnrm.toml", 1) <= 0.2
    True
    >>> pause_s("01J", "a.clnrm.toml", 60) <= 30
    True
    """
    digest = hashlib.sha256(f"{run_id}\0{test_id}\0{attempt}".encode()).digest()
    lot = int.from_bytes(digest[:8], "big") / 2**64
    whole_s = min(_FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 60), _LONGEST_PAUSE_S)
    return whole_s * (1 + lot) / 2


class Retries:
    """The attempts of the tests of one run."""

    def __init__(self, run_id: str, settings: Executor) -> None:
        self._run_id = run_id
        self._settings = settings
        self._ended: dict[str, list[AttemptOutcome]] = {}

    def attempts(self, test_id: str) -> int:
        """How many have ended."""
        return len(self._ended.get(test_id, ()))

    def pause_after(self, outcome: TestOutcome) -> float | None:
        """Note that an attempt has ended, judged; seconds until the next one, ``None`` if it was the last."""
        ended = self._ended.setdefault(outcome.id, [])
        ended.append(AttemptOutcome(len(ended) + 1, outcome.status, outcome.why, outcome.duration_ms))
        wants_more = outcome.status in _RETRIED and fails_run(outcome.status, self._settings)
        if not wants_more or len(ended) > self._settings.retries:
            return None
        return pause_s(self._run_id, outcome.id, len(ended))

    def conclude(self, outcome: TestOutcome) -> TestOutcome:
        """Tell of all attempts in the outcome of the last; one that passed after others did not is flaky."""
        ended = self._ended.get(outcome.id, [])
        if len(ended) < 2:  # noqa: PLR2004  # A single attempt is no story.
            return outcome
        outcome.attempts = list(ended)
        earlier = ended[:-1]
        told = "; ".join(f"attempt {one.number} {one.status}{_because(one.reason)}" for one in earlier)
        if outcome.status == "passed":
            outcome.status = "flaky"
            outcome.reason = f"passed in attempt {len(ended)}; {told}"
        else:
            outcome.reason = f"{outcome.why or outcome.status}; {told}"
        return outcome


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""
