"""Real files on a real directory: in whatever way they are saved, each change is run once, and nothing else is."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from clnrm_nb.watch import Canary, Facts, FileWatcher, Graph, Place, Planner, Reading, Rules, Settle

MS = 1_000_000
# Longer than a person would choose: on a machine with many neighbours a thread may wait 100 ms for its turn, and
# a save that takes longer than the quiet is two changes, rightly.
SETTLE_MS, DEBOUNCE_MS = 200, 2_000
FILES = 50
ROUNDS = 10
PATIENCE_S = 60.0


class Session:
    """The watch core as a session joins it together, with a list in place of a pipeline."""

    def __init__(self, root: Path, graph: Graph, **options) -> None:
        self.runs: list[dict[str, tuple]] = []
        self.batches = []
        self.remarks = []
        self.graph = graph
        self.planner = Planner(graph)
        self._settle = Settle(SETTLE_MS, DEBOUNCE_MS)
        self._loop = asyncio.get_running_loop()
        self._ran = asyncio.Event()
        self._n_saving, self._saved_s = 0, 0.0
        patterns = ["**/*.clnrm.toml.tera", "**/*.clnrm.toml"]
        self.watcher = FileWatcher(
            graph,
            Rules(str(root), str(root / ".clnrm"), patterns=patterns),
            [Place(str(root), recursive=True)],
            lambda batch: self._loop.call_soon_threadsafe(self._batch, batch),
            self.remarks.append,
            canary=Canary(str(root / ".clnrm" / "watch")),
            **options,
        )

    def _batch(self, batch) -> None:
        self.batches.append(batch)
        self._settle.event(batch.changes, time.monotonic_ns())
        self._loop.call_later((self._settle.due_ns - time.monotonic_ns()) / 1e9, self._tick)

    def _tick(self) -> None:
        # A save that a busy machine interrupts for longer than the quiet lasts is one save here all the same.
        if self._n_saving or self._loop.time() < self._saved_s + SETTLE_MS / 1e3:
            self._loop.call_later(0.01, self._tick)
            return
        edge = self._settle.tick(time.monotonic_ns())
        if edge is not None:
            self.runs.append(self.planner.trailing(edge.changes))
            self._ran.set()
        elif self._settle.due_ns is not None:
            self._loop.call_later(0.001, self._tick)

    async def play(self, steps) -> None:
        """Save a file step by step."""
        self._n_saving += 1
        for pause_ms, step in steps:
            if pause_ms:
                await asyncio.sleep(pause_ms / 1_000)
            step()
        self._n_saving -= 1
        self._saved_s = self._loop.time()

    async def run(self):
        """The next run."""
        async with asyncio.timeout(PATIENCE_S):
            await self._ran.wait()
        self._ran.clear()
        return self.runs[-1]

    def ran(self, began: int) -> list[str]:
        """The tests of all runs from this one on."""
        return [test for plan in self.runs[began:] for test in plan.run]

    async def until(self, is_so) -> None:
        """Runs, until it is so or no more come."""
        while not is_so():
            await self.run()

    async def quiet(self, quiet_s: float = 0.15) -> None:
        """Until nothing has been noticed for a while."""
        seen = -1
        while seen != len(self.batches) or self._settle.due_ns is not None:
            seen = len(self.batches)
            await asyncio.sleep(quiet_s)


@asynccontextmanager
async def session(root, graph, **options):
    watching = Session(root, graph, **options)
    await asyncio.to_thread(watching.watcher.start)
    try:
        yield watching
    finally:
        await asyncio.to_thread(watching.watcher.close)


@pytest.fixture
def root(tmp_path):
    return tmp_path.resolve()


def scenario(root, name, text="first"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def edit(path, text):
    Path(path).write_text(text)


def rename(path, new):
    Path(path).rename(new)


async def test_a_look_before_the_watcher_is_told_what_a_test_reads_takes_the_file_as_it_is(root):
    """The file was told as one that had just appeared, and its test was run again."""
    file = scenario(root, "a.clnrm.toml")
    macro = scenario(root, "_m.tera")
    graph = Graph()
    graph.put(Facts(file, file))
    async with session(root, graph) as watching:
        graph.put(Facts(file, file, templates=frozenset({macro})))
        (root / "new").mkdir()  # Everything is looked at again.
        scenario(root, "new/b.clnrm.toml")
        await watching.run()
        first = [change.path for batch in watching.batches for change in batch.changes]
        watching.watcher.refresh()
        edit(macro, "second")
        plan = await watching.run()

    assert first == [str(root / "new" / "b.clnrm.toml")]
    assert list(plan.run) == [file]


async def test_five_hundred_saves_in_ten_ways_are_run_once_each(root, editors):
    files = [scenario(root, f"tests/t{number}/f.clnrm.toml") for number in range(FILES)]
    graph = Graph()
    for file in files:
        graph.put(Facts(file, file))
    editor = editors.Editor(editors.RealDisk(), Random(20250101))
    saves = 0

    async with session(root, graph) as watching:
        for _round in range(ROUNDS):
            began = len(watching.runs)
            expected = set()
            pending = []
            for file in files:
                save, steps = editor.save(file)
                saves += 1
                pending.append(watching.play(steps))
                if save.is_change:
                    expected.add(file)
            await asyncio.gather(*pending)
            await watching.until(lambda began=began, expected=expected: expected <= set(watching.ran(began)))
            await watching.quiet()

            assert sorted(watching.ran(began)) == sorted(expected)

    assert saves == FILES * ROUNDS
    assert watching.remarks == []


@pytest.mark.parametrize("way", range(10))
async def test_a_save_in_each_way_is_followed_by_one_run_if_it_changed_anything(root, editors, way):
    editors_way = editors.WAYS[way]
    file = scenario(root, "tests/one/f.clnrm.toml")
    graph = Graph()
    graph.put(Facts("one", file))
    editor = editors.Editor(editors.RealDisk(), Random(way))

    async with session(root, graph) as watching:
        save, steps = editor.save(file, editors_way)
        await watching.play(steps)
        if save.is_change:
            await watching.run()
        await watching.quiet()

    assert [list(plan.run) for plan in watching.runs] == ([["one"]] if save.is_change else [])


async def test_a_macro_reruns_its_dependents_and_says_why(root):
    graph = Graph()
    macro = scenario(root, "templates/_m.tera")
    for name in ("a", "b", "c"):
        uses = frozenset({macro}) if name != "c" else frozenset()
        graph.put(Facts(name, scenario(root, f"tests/{name}.clnrm.toml"), templates=uses))

    async with session(root, graph) as watching:
        edit(macro, "second")
        plan = await watching.run()

    assert sorted(plan.run) == ["a", "b"]
    (reason,) = plan.run["a"]
    assert (
        reason.sentence(lambda path: str(Path(path).relative_to(root))) == "because templates/_m.tera changed"
    )


async def test_a_missing_include_that_appears_in_a_new_directory_is_noticed(root):
    graph = Graph()
    wanted = str(root / "shared" / "deep" / "_m.tera")
    graph.put(Facts("a", scenario(root, "tests/a.clnrm.toml"), missing=frozenset({wanted})))

    async with session(root, graph) as watching:
        scenario(root, "shared/deep/_m.tera")
        plan = await watching.run()

    assert list(plan.run) == ["a"]


async def test_a_mounted_directory_outside_the_project_is_watched_whole(tmp_path):
    root, data = tmp_path.resolve() / "project", tmp_path.resolve() / "data"
    root.mkdir()
    seed = scenario(data, "deep/below/seed.sql")
    graph = Graph()
    graph.put(Facts("a", scenario(root, "a.clnrm.toml"), mounts=frozenset({str(data)})))

    async with session(root, graph) as watching:
        edit(seed, "second")
        first = await watching.run()
        scenario(data, "new/more.sql")
        second = await watching.run()

    assert list(first.run) == list(second.run) == ["a"]


async def test_what_the_program_writes_itself_and_what_git_ignores_triggers_nothing(root):
    scenario(root, ".gitignore", "build/\n*.gen.clnrm.toml\n!kept.gen.clnrm.toml\n")
    graph = Graph()
    graph.put(Facts("a", scenario(root, "a.clnrm.toml")))

    async with session(root, graph) as watching:
        for name in (
            ".clnrm/state.db",
            ".clnrm/artifacts/x.clnrm.toml",
            "build/b.clnrm.toml",
            "x.gen.clnrm.toml",
        ):
            scenario(root, name)
        for name in ("node_modules/x/c.clnrm.toml", ".git/d.clnrm.toml", "notes.txt"):
            scenario(root, name)
        await watching.quiet()
        nothing = list(watching.batches)
        scenario(root, "kept.gen.clnrm.toml")
        plan = await watching.run()

    assert nothing == []
    assert plan.added == (str(root / "kept.gen.clnrm.toml"),)


async def test_new_and_deleted_scenario_files_are_told_as_such(root):
    graph = Graph()
    file = scenario(root, "tests/a.clnrm.toml")
    graph.put(Facts("a", file))

    async with session(root, graph) as watching:
        rename(file, root / "tests" / "b.clnrm.toml")
        plan = await watching.run()

    assert plan.removed == (file,)
    assert plan.added == (str(root / "tests" / "b.clnrm.toml"),)
    assert dict(plan.run) == {}


async def test_a_dependency_that_is_new_to_the_graph_is_watched_from_then_on(root):
    outside = scenario(root.parent / "outside", "vars.toml")
    graph = Graph()
    file = scenario(root, "a.clnrm.toml")
    graph.put(Facts("a", file))

    async with session(root, graph) as watching:
        graph.put(Facts("a", file, variables=frozenset({outside})))
        read = sha256(b"first").hexdigest()
        # As a session does it: nothing is missed while the watcher has not come to it yet.
        watching.watcher.refresh(Reading({outside: read}))
        edit(outside, "second")
        first = await watching.run()
        edit(outside, "third")
        second = await watching.run()

    shutil.rmtree(root.parent / "outside")
    assert [list(plan.run) for plan in (first, second)] == [["a"], ["a"]]


async def test_writing_through_a_symlink_and_beside_it_is_noticed(root):
    real = scenario(root, "shared/real.toml")
    link = root / "tests" / "a.clnrm.toml"
    link.parent.mkdir()
    link.symlink_to(real)
    graph = Graph()
    graph.put(Facts("a", str(link)))

    async with session(root, graph) as watching:
        edit(real, "second")
        first = await watching.run()
        other = scenario(root, "versions/2.toml", "third")
        (root / "next").symlink_to(other)
        (root / "next").rename(link)
        second = await watching.run()
        await watching.quiet(0.05)
        edit(other, "fourth")
        third = await watching.run()

    assert [list(plan.run) for plan in (first, second, third)] == [["a"], ["a"], ["a"]]
