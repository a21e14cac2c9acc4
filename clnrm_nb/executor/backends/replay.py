"""The backend that runs nothing: commands, exit codes, output and spans come out of a recording.

Commands are judged by the same rules as when they run. Spans keep their ids and times as recorded, own spans
included, and are handed over in the order they ended with the pauses between them, sped up and capped: what
follows the run live sees it happen, and nobody waits long. Results carry ``replayed`` and are not hermetic.

From a file that holds spans only, commands are not evaluated (CLN612).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends.protocol import CommandResult
from clnrm_nb.executor.recording import find_recording
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.backends.protocol import (
        CommandSpec,
        IsolationHeld,
        Leftover,
        RunningService,
        UnitSpec,
    )
    from clnrm_nb.executor.recording import RecordedCommand, RecordedTest

__all__ = ["ReplayBackend", "ReplayUnit"]

SPEED: Final = 10.0
LONGEST_S: Final = 1.0
_BATCH_S: Final = 0.02


class ReplayBackend:
    """Replays ``executor.replay``.

    Parameters
    ----------
    settings : Settings
    speed : float
        How many times faster than recorded.
    longest_s : float
        The spans of one scenario take no longer than this, whatever `speed` says; 0 hands all over at once.
    """

    name = "replay"
    hermetic = False
    replayed = True

    def __init__(self, settings: Settings, *, speed: float = SPEED, longest_s: float = LONGEST_S) -> None:
        self._source = Path(settings.executor.replay) if settings.executor.replay else None
        self._speed = speed
        self._longest_s = longest_s

    async def open(self) -> None:
        """Raises ClnrmError CLN618 if there is nothing to replay at all."""
        if self._source is None:
            raise ClnrmError(
                "nothing to replay",
                "CLN618",
                hint="Name a recording by `--replay FILE` or `executor.replay`.",
            )
        if not self._source.exists():
            raise ClnrmError(f"there is no recording at {str(self._source)!r}", "CLN618")

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:  # noqa: ARG002  # The protocol's.
        """Nothing is created, so nothing is refused."""
        return []

    async def open_unit(self, spec: UnitSpec) -> ReplayUnit:
        """Find what was recorded of a test. Raises ClnrmError CLN618."""
        assert self._source is not None
        recorded = await asyncio.to_thread(
            find_recording, self._source, spec.test_id, scenarios=spec.scenarios
        )
        if recorded is None:
            raise ClnrmError(
                f"no recording of `{spec.test_id}`", "CLN618", hint="Use `clnrm record` or `--replay FILE`."
            )
        return ReplayUnit(recorded, self._speed, self._longest_s)

    async def close(self) -> None:
        """Nothing is held."""


class ReplayUnit:
    """One recorded test."""

    receiver_host = "127.0.0.1"
    listen_address = "127.0.0.1"
    hermetic = False
    isolation: IsolationHeld = "fresh"

    def __init__(self, recorded: RecordedTest, speed: float, longest_s: float) -> None:
        self._recorded = recorded
        self._speed = speed
        self._longest_s = longest_s
        self._next = _iterators(recorded)

    def addresses(self) -> list[str]:
        """None: there is no network of the test's own."""
        return []

    def environment(self) -> dict[str, str]:
        """Nothing runs that could read it."""
        return {}

    async def start_service(self, name: str, env: Mapping[str, str]) -> RunningService:  # noqa: ARG002  # As above.
        """Never asked for: the executor plays a replay's services instead of starting them."""
        raise ClnrmError(f"a replay starts no service, and so not `{name}`")

    async def warm_up(self, service: str | None) -> None:  # The protocol's.
        """Nothing: no program runs."""

    async def execute(self, command: CommandSpec) -> CommandResult:
        """The recorded result of the next command of that name in that scenario."""
        queue = self._next.get((command.scenario or "", command.name))
        recorded = next(queue, None) if queue is not None else None
        if recorded is None or not recorded.attempts:
            return CommandResult(None, b"", b"", 0.0, is_known=False)
        return CommandResult(
            exit_code=recorded.exit_code,
            stdout=recorded.stdout.encode(),
            stderr=recorded.stderr.encode(),
            duration_ms=recorded.duration_ms,
            truncated=recorded.truncated,
            timed_out=recorded.code == "CLN604",
            error=recorded.reason,
            attempts=recorded.attempts,
        )

    async def play(self, scenario: str | None, deliver: Callable[[SpanTable], None]) -> None:
        """Hand over recorded spans as they ended, with pauses of at least 20 ms between batches."""
        table = self._recorded.spans.get(scenario)
        if not table:
            return
        ends = [end or start or 0 for start, end in zip(table.start_ns, table.end_ns, strict=True)]
        rows = sorted(range(len(table)), key=lambda row: ends[row])
        known = [end for end in ends if end]
        length_s = (max(known) - min(known)) / 1e9 if known else 0.0
        played_s = min(length_s / self._speed, self._longest_s)
        scale = played_s / length_s if length_s else 0.0
        first_ns = min(known, default=0)
        passed_s = 0.0
        batch: list[int] = []
        for row in rows:
            due_s = max(ends[row] - first_ns, 0) / 1e9 * scale
            if due_s - passed_s >= _BATCH_S:
                deliver(table.select(batch))
                await asyncio.sleep(due_s - passed_s)
                passed_s, batch = due_s, []
            batch.append(row)
        deliver(table.select(batch))

    async def stop_services(self, grace_s: float) -> list[str]:  # noqa: ARG002  # As above.
        """Nothing runs."""
        return []

    async def read_files(self, service: str | None, pattern: str, target: Path) -> list[Path]:  # noqa: ARG002  # The protocol's signature.
        """Files are not recorded."""
        return []

    async def objects(self) -> dict[str, list[str]]:
        """Nothing was created."""
        return {}

    def diagnostics(self) -> list[Diagnostic]:
        """Nothing to say."""
        return []

    async def close(self) -> list[Leftover]:
        """Nothing to remove."""
        return []


def _iterators(recorded: RecordedTest) -> dict[tuple[str, str], Iterator[RecordedCommand]]:
    """Recorded commands by scenario and name; commands of one name answer in their order."""
    if recorded.commands is None:
        return {}
    queues: dict[tuple[str, str], list[RecordedCommand]] = {}
    for scenario, commands in recorded.commands.items():
        for command in commands:
            queues.setdefault((scenario, command.name), []).append(command)
    return {key: iter(queue) for key, queue in queues.items()}
