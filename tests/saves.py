"""Random saves on a disk and a clock that are only thought of, seen by the real watch core, and judged.

Everything between the event and the run is the product's: `Sieve`, `Settle`, `Planner`. Thought of are the
disk, the clock, how long events take, and tests that read their files when they start and need some time to
end.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import ModuleType

from clnrm_nb.watch.changes import Reading
from clnrm_nb.watch.graph import Facts, Graph
from clnrm_nb.watch.identity import Identity, Sight
from clnrm_nb.watch.plan import Plan, Planner
from clnrm_nb.watch.settle import Settle
from clnrm_nb.watch.sieve import Sieve

MS = 1_000_000
SETTLE_MS, DEBOUNCE_MS = 50, 300


class Clock:
    """Calls in the order of their time."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._order = itertools.count()
        self._calls: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, time_ns: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (max(time_ns, self.now_ns), next(self._order), call))

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        self.at(self.now_ns + int(delay_ms * MS), call)

    def run(self, until_ns: int | None = None) -> None:
        """Until nothing is left to do, or this time."""
        while self._calls and (until_ns is None or self._calls[0][0] <= until_ns):
            self.now_ns, _order, call = heapq.heappop(self._calls)
            call()
        if until_ns is not None:
            self.now_ns = max(self.now_ns, until_ns)


class ThoughtDisk:
    """Files in memory; each step tells its events."""

    def __init__(self, tell: Callable[[list[str]], None]) -> None:
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self._tell = tell

    def real(self, path: str) -> str:
        return self.links.get(path, path)

    def see(self, path: str) -> Sight:
        content = self.files.get(self.real(path))
        target = self.links.get(path)
        return Sight(None if content is None else hashlib.sha256(content).hexdigest(), target)

    def read(self, path: str) -> bytes:
        return self.files[self.real(path)]

    def write(self, path: str, content: bytes) -> None:
        self.files[self.real(path)] = content
        self._tell([path, self.real(path)])

    def touch(self, path: str) -> None:
        self._tell([path])

    def replace(self, source: str, target: str) -> None:
        for names in (self.files, self.links):
            names.pop(target, None)
            if source in names:
                names[target] = names.pop(source)
        self._tell([source, target])

    def remove(self, path: str) -> None:
        self.files.pop(path, None)
        self.links.pop(path, None)
        self._tell([path])

    def link(self, target: str, path: str) -> None:
        self.links[path] = target
        self._tell([path])

    def make(self, directory: str) -> None:
        pass

    def move(self, source: str, target: str) -> None:
        told: list[str] = []
        for names in (self.files, self.links):
            for path in [path for path in names if path.startswith(f"{source}/")]:
                new = target + path[len(source) :]
                names[new] = names.pop(path)
                told += [path, new]
        self._tell(told)


@dataclass
class Run:
    """One run of one test, and what it saw of its files when it began."""

    test: str
    began_ns: int
    seen: tuple[str | None, ...]
    how: str = "running"


@dataclass
class World:
    """Files, tests that depend on them, a watcher and a runner."""

    editors: ModuleType
    random: Random
    clock: Clock = field(default_factory=Clock)
    runs: list[Run] = field(default_factory=list)
    saves: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.disk = ThoughtDisk(self._events)
        self.editor = self.editors.Editor(self.disk, self.random)
        self.files = [f"/p/t{number}/f.clnrm.toml" for number in range(6)]
        self.graph = Graph()
        for number, file in enumerate(self.files):
            self.disk.files[file] = b"first"
            shared = frozenset(self.random.sample(self.files, self.random.randrange(3))) - {file}
            self.graph.put(Facts(f"test{number}", file, templates=shared))
        identity = Identity(self.disk.see)
        identity.learn(self.files)
        self.sieve = Sieve(identity, self.graph.names)
        self.settle = Settle(SETTLE_MS, DEBOUNCE_MS)
        self.planner = Planner(self.graph)
        self._queued: set[str] = set()
        self._is_waking = False
        self._running: dict[str, Run] = {}

    # The watcher

    def _events(self, paths: list[str]) -> None:
        self._queued.update(paths)
        self._wake(self.random.uniform(1, 12))

    def _wake(self, delay_ms: float) -> None:
        if not self._is_waking:
            self._is_waking = True
            self.clock.after(delay_ms, self._notice)

    def _notice(self) -> None:
        self._is_waking = False
        paths, self._queued = self._queued, set()
        changes = self.sieve.take(paths, self.clock.now_ns)
        leading = self.settle.event(changes, self.clock.now_ns)
        if leading is not None:
            self._cancel(self.planner.leading(leading.changes, self._running))
        if self.sieve.again_ns is not None:
            self._wake(self.sieve.again_ns / MS)
        due = self.settle.due_ns
        if due is not None:
            self.clock.at(due, self._tick)

    def _tick(self) -> None:
        trailing = self.settle.tick(self.clock.now_ns)
        if trailing is None:
            return
        plan = self.planner.trailing(trailing.changes, self._running)
        self._cancel(plan)
        for test in plan.run:
            self._start(test)

    # The runner

    def _cancel(self, plan: Plan) -> None:
        for test in plan.obsolete:
            self._running.pop(test).how = "cancelled"

    def _start(self, test: str) -> None:
        assert test not in self._running, "a test runs twice at once"
        run = Run(test, self.clock.now_ns, self.state(test))
        self.runs.append(run)
        self._running[test] = run
        self.clock.after(self.random.uniform(1, 4), lambda: self._has_read(run))
        self.clock.after(self.random.uniform(20, 400), lambda: self._end(run))

    def _has_read(self, run: Run) -> None:
        """What `FileWatcher.refresh` does with what a test has read."""
        known = dict(zip(self.inputs(run.test), run.seen, strict=True))
        self.sieve.identity.expect(Reading(known, run.began_ns, run.test))
        self._queued.update(known)
        self._wake(1)

    def _end(self, run: Run) -> None:
        if run.how == "running":
            run.how = "ended"
            del self._running[run.test]

    def state(self, test: str) -> tuple[str | None, ...]:
        return tuple(self.disk.see(path).content for path in self.inputs(test))

    def inputs(self, test: str) -> list[str]:
        facts = self.graph.tests[test]
        return sorted({facts.file, *facts.templates})

    # The person

    def save(self) -> None:
        """One save, played to its last step; what follows from it goes on meanwhile."""
        save, steps = self.editor.save(self.random.choice(self.files))
        self.saves.append(save)
        for pause_ms, step in steps:
            self.clock.run(self.clock.now_ns + int(pause_ms * MS))
            step()


def play(editors: ModuleType, seed: int, saves: int) -> World:
    """Saves with quiet between them and saves on the heels of each other; raises where a run was missed or doubled."""
    world = World(editors, Random(seed))
    while len(world.saves) < saves:
        if world.random.random() < 0.5:
            _save_alone(world)
        else:
            for _ in range(world.random.randrange(2, 9)):
                world.save()
                pause_ms = world.random.choice([0, 5, 20, 30, 40, 60, 80, 120, 200, 400])
                world.clock.run(world.clock.now_ns + pause_ms * MS)
            world.clock.run()
        _judge(world)
    return world


def _save_alone(world: World) -> None:
    """A change is followed by exactly one run of each test that depends on it; no change by none."""
    before = {test: world.state(test) for test in world.graph.tests}
    began = len(world.runs)
    world.save()
    world.clock.run()
    save = world.saves[-1]
    concerned = sorted(test for test in world.graph.tests if world.state(test) != before[test])
    ended = sorted(run.test for run in world.runs[began:] if run.how == "ended")
    assert ended == concerned, f"{save}: ran {ended}, concerned {concerned}"
    assert bool(concerned) == save.is_change


def _judge(world: World) -> None:
    """In quiet: the last run of each test saw what is there, and no two runs in a row saw the same."""
    for test in world.graph.tests:
        runs = [run for run in world.runs if run.test == test]
        assert all(run.how != "running" for run in runs)
        if runs:
            assert runs[-1].how == "ended", f"{test} was cancelled and never made up for"
            assert runs[-1].seen == world.state(test), f"{test} missed a change"
        for earlier, later in itertools.pairwise(runs):
            is_doubled = earlier.how == later.how == "ended" and earlier.seen == later.seen
            assert not is_doubled, f"{test} ran twice for one content"


def shown(world: World) -> str:
    """What was played, in one line."""
    ended = sum(run.how == "ended" for run in world.runs)
    ways = len({save.way for save in world.saves})
    cancelled = len(world.runs) - ended
    return f"{len(world.saves)} saves in {ways} ways: {ended} runs ended, {cancelled} cancelled as obsolete"
