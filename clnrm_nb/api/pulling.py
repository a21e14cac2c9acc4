"""``pull``: the images of tests, brought here before they are needed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.loop import run_blocking
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.report.tables import Table
from clnrm_nb.report.text import number_text
from clnrm_nb.report.view import exit_code_of_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.backends.docker.images import Images
    from clnrm_nb.pipeline.load import Loaded

__all__ = ["pull"]

_HEADER = ("image", "state", "size_mb", "duration_ms")
_DTYPES = {"size_mb": "Float64", "duration_ms": "Float64"}


@dataclass(frozen=True, slots=True)
class _Pulled:
    """What became of one image: present, pulled or failed."""

    name: str
    state: str
    size_bytes: int | None
    duration_ms: float
    finding: Diagnostic | None = None


def pull(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    context: Context | None = None,
    **options: Any,
) -> Table:
    """Pull what the services and commands of tests run in, each image once.

    ``containers.pull_policy`` decides as in a run: ``if-not-present`` leaves alone what is here, ``always``
    asks the registry, ``never`` only says what is missing. ``executor.worker_count`` images are pulled at a
    time.

    Returns
    -------
    Table
        One row an image. ``exit_code`` 1 if one could not be had (CLN602), 2 if a file is invalid; the others
        are pulled all the same.

    Raises
    ------
    BackendUnavailableError
        No engine answers.
    """
    here = context_of(context, options)
    refuse_unknown("pull", options)
    sources = Sources(paths_of(paths), no_template=bool(options.get("no_template")))
    loaded = load(sources, variables_from(options), project=here.project, settings=here.settings)
    names = _images(loaded, here)
    pulled = run_blocking(_pull(names, here)) if names else []
    invalid = loaded.diagnostics_of([test.test_id for test in loaded.tests if test.test is None])
    findings = [*(finding for finding in invalid if finding.severity == "error")]
    findings += [each.finding for each in pulled if each.finding]
    missing = sum(each.state == "failed" for each in pulled)
    rows = [
        [
            each.name,
            each.state,
            None if each.size_bytes is None else round(each.size_bytes / 1e6, 1),
            round(each.duration_ms, 1),
        ]
        for each in pulled
    ]
    note = f"{number_text(len(rows), 'image')}, {missing} missing"
    return Table(
        "pull",
        _HEADER,
        rows,
        notes=[note] if rows else [],
        findings=findings,
        exit_code=exit_code_of_findings([finding.to_json() for finding in findings], "pull", deny=False),
        dtypes=_DTYPES,
    )


def _images(loaded: Loaded, here: Context) -> list[str]:
    """Names of the images that any of the valid tests needs, in the order of the tests."""
    names: dict[str, None] = {}
    for test in loaded.tests:
        if test.test is not None:
            plan = make_plan(
                test.test,
                directory=test.directory,
                project=here.project,
                settings=here.settings,
                test_id=test.test_id,
            )
            names |= dict.fromkeys(plan.images)
    return list(names)


async def _pull(names: Sequence[str], here: Context) -> list[_Pulled]:
    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.images import Images

    engine = await Engine.connect(here.settings.executor.docker_host)
    images = Images(engine, here.settings.containers.pull_policy)
    places = asyncio.Semaphore(here.settings.executor.effective_worker_count)

    async def one(name: str) -> _Pulled:
        async with places:
            return await _had(name, images)

    try:
        return list(await asyncio.gather(*(one(name) for name in names)))
    finally:
        images.close()
        engine.close()


async def _had(name: str, images: Images) -> _Pulled:
    started = perf_counter()
    before = await images.look_up(name)
    try:
        image = await images.ensure(name)
    except ClnrmError as error:
        if error.code != "CLN602":
            raise
        return _Pulled(name, "failed", None, (perf_counter() - started) * 1e3, error.diagnostic)
    state = "present" if before is not None and before.id == image.id else "pulled"
    return _Pulled(name, state, image.size_bytes, (perf_counter() - started) * 1e3)
