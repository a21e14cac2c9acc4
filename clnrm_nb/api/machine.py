"""The machine and the installation: ``init``, ``doctor``, ``gc``, ``self-test``."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.checks import run_checks
from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.api.initial import lay_down
from clnrm_nb.errors import BackendUnavailableError, UsageError
from clnrm_nb.executor.loop import run_blocking
from clnrm_nb.executor.scratch import scratch
from clnrm_nb.report.results import Table
from clnrm_nb.self_test import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.executor.leftovers import Removed
    from clnrm_nb.report.results import RunResult

__all__ = ["doctor", "gc", "init", "self_test"]


def init(
    directory: str | Path = ".",
    *,
    with_config: bool = False,
    force: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Table:
    """Lay down working examples and the state's ``.gitignore``; overwrite nothing unless forced."""
    context_of(context, options)
    refuse_unknown("init", options)
    written, kept = lay_down(Path(directory), with_config=with_config, force=force)
    rows = [[str(path), "written"] for path in written] + [[str(path), "kept"] for path in kept]
    notes = [
        "The images they name are made of this machine's own files: python -m clnrm_nb.examples.images",
        f"Then: clnrm run {Path(directory) / 'tests'}",
    ]
    if kept:
        notes.insert(0, f"{len(kept)} files were there already and are kept; --force overwrites them.")
    return Table("init", ("file", "state"), rows, notes=notes)


def doctor(*, context: Context | None = None, **options: Any) -> Table:
    """What this machine has: engine, receiver, images, packages, state; with advice for what is missing."""
    here = context_of(context, options)
    refuse_unknown("doctor", options)
    rows = run_blocking(run_checks(here))
    missing = any(row.state == "missing" for row in rows)
    cells = [[row.check, row.state, row.detail, row.advice] for row in rows]
    return Table("doctor", ("check", "state", "detail", "advice"), cells, exit_code=3 if missing else 0)


def gc(*, dry_run: bool = False, context: Context | None = None, **options: Any) -> Table:
    """Remove what dead runs of this machine left behind, on it and in the engine; nothing else.

    Raises
    ------
    BackendUnavailableError
        No engine answers. What was on the machine itself is removed all the same, and noted.
    """
    from clnrm_nb.executor.artifacts import ARTIFACTS
    from clnrm_nb.executor.backends.docker import collect_garbage
    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.leftovers import collect_local

    here = context_of(context, options)
    refuse_unknown("gc", options)

    async def collect() -> list[Removed]:
        engine = await Engine.connect(here.settings.executor.docker_host)
        try:
            return await collect_garbage(engine, dry_run=dry_run)
        finally:
            engine.close()

    found = collect_local(here.project.state_dir / ARTIFACTS, dry_run=dry_run)
    try:
        found += run_blocking(collect())
    except BackendUnavailableError as error:
        for each in found:
            error.add_note(f"{each.type} {each.name}: {_fate(each, dry_run=dry_run)}")
        raise
    found.sort(key=lambda each: (each.type, each.name))
    rows = [[each.type, each.name, each.run, each.test, _fate(each, dry_run=dry_run)] for each in found]
    note = f"{len(rows)} objects of dead runs {'would be removed' if dry_run else 'found'}"
    kept = sum(not each.removed for each in found) if not dry_run else 0
    return Table("gc", ("type", "name", "run", "test", "state"), rows, notes=[note], exit_code=int(kept > 0))


def _fate(each: Removed, *, dry_run: bool) -> str:
    if dry_run:
        return "would be removed"
    return "removed" if each.removed else "could not be removed"


def self_test(*, suite: str | None = None, context: Context | None = None, **options: Any) -> Table:
    """Prove the installation: scenarios with known verdicts, most of which must *not* pass.

    Parameters
    ----------
    suite : {"verdicts", "replay"}, optional
        ``verdicts`` runs small scenarios as processes of this machine; ``replay`` judges the recorded runs of
        the examples.
    """
    context_of(context, options)
    refuse_unknown("self_test", options)
    suites: dict[str, Callable[[Path], list[list[str]]]] = {"verdicts": _verdicts, "replay": _replay}
    if suite is not None and suite not in suites:
        raise UsageError(f"no suite {suite!r}", hint=f"Suites: {', '.join(suites)}.")
    rows: list[list[str]] = []
    for name, prove in suites.items():
        if suite in (None, name):
            with scratch("clnrm-self-test-") as directory:
                rows += prove(directory)
    failed = sum(row[-1] != "ok" for row in rows)
    note = f"{len(rows) - failed} of {len(rows)} verdicts as they must be"
    header = ("suite", "test", "expected", "actual", "state")
    return Table("self-test", header, rows, exit_code=int(failed > 0), notes=[note])


def _verdicts(scratch: Path) -> list[list[str]]:
    (scratch / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        for file in VERDICTS:
            shutil.copy(source / file, scratch / file)
    result = _run_in(scratch, [scratch], backend="process", timeout="20s")
    actual = {test.id: test.status for test in result.outcomes}
    return [
        _row("verdicts", file, expected, actual.get(file, "missing")) for file, expected in VERDICTS.items()
    ]


def _replay(scratch: Path) -> list[list[str]]:
    from clnrm_nb import examples

    rows = []
    (scratch / ".clnrm").mkdir()
    for name in examples.NAMES:
        examples.lay_down(name, scratch)
        recording = scratch / name / "recording.json"
        # What a recording cannot prove stays not-evaluated, so that the honest verdict is incomplete at best.
        result = _run_in(scratch, [scratch / name], replay=str(recording), allow_not_evaluated=True)
        for test in result.outcomes:
            wrong = [r.id for r in test.expectations if r.status == "failed"]
            actual = "failed: " + ", ".join(wrong) if wrong or not test.expectations else "nothing failed"
            rows.append(_row("replay", test.id, "nothing failed", actual))
    return rows


def _run_in(root: Path, paths: list[Path], **options: Any) -> RunResult:
    from clnrm_nb.api.contexts import context
    from clnrm_nb.api.running import run
    from clnrm_nb.report.results import RunResult

    result = run(paths, context=context(options, start=root), **options)
    assert isinstance(result, RunResult)
    return result


def _row(suite: str, test: str, expected: str, actual: str) -> list[str]:
    return [suite, test, expected, actual, "ok" if actual == expected else "wrong"]
