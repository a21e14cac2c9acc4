"""``history`` and ``stats``: what earlier runs said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown
from clnrm_nb.errors import ClnrmError
from clnrm_nb.report.history import History
from clnrm_nb.state import State
from clnrm_nb.state.measures import measures_of
from clnrm_nb.state.statistics import records_of, statistics_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from clnrm_nb.config.project import Project

__all__ = ["history", "stats"]

_ROWS: Final = 100
_RUNS: Final = 100


def history(
    ids: Sequence[str] | str = (),
    *,
    limit: int | None = None,
    context: Context | None = None,
    **options: Any,
) -> History:
    """What earlier runs said about tests, newest first.

    Parameters
    ----------
    ids : str or sequence of str
        Test ids or globs of them; empty: all.
    limit : int, optional
        At most so many rows (default: 100).
    """
    here = context_of(context, options)
    refuse_unknown("history", options)
    wanted = [ids] if isinstance(ids, str) else list(ids)
    with State.open(here.project.state_dir) as state:
        rows = state.history(wanted, _ROWS if limit is None else limit)
        unknown = [one for one in wanted if not state.history([one], 1)]
        notes = [f"no run of `{one}` is stored" for one in unknown]
        return History(rows, notes=notes, findings=state.diagnostics)


def stats(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    limit: int | None = None,
    context: Context | None = None,
    **options: Any,
) -> History:
    """How often tests passed, how long they took, and whether it is proven that they are flaky.

    Parameters
    ----------
    paths : path or sequence of paths
        Scenario files and directories, or test ids; files that are gone keep their history.
    limit : int, optional
        The last so many runs of each test (default: 100).

    Returns
    -------
    History
        ``.statistics`` has one row a test, ``.frame`` the runs that were counted, ``.measures`` one row a
        run of the project with what it measured about itself.

    Raises
    ------
    ClnrmError
        CLN001: a path is not there, and no test of it ever ran.
    """
    here = context_of(context, options)
    refuse_unknown("stats", options)
    with State.open(here.project.state_dir) as state:
        records = records_of(state, _RUNS if limit is None else limit)
        known = {record["test_id"] for record in records}
        chosen = {test_id for path in paths_of(paths) for test_id in _tests_of(path, known, here.project)}
        records = [record for record in records if record["test_id"] in chosen]
        tests = [one.to_json() for one in statistics_of(state, records)]
        measured = measures_of(state, _RUNS if limit is None else limit)
        return History(records, tests=tests, measured=measured, command="stats", findings=state.diagnostics)


def _tests_of(path: Path, known: Collection[str], project: Project) -> list[str]:
    """Ids of the tests that ran of a file, of a directory, or of this very id."""
    if str(path) in known:
        return [str(path)]
    name = project.relative(path)
    prefixes = ("",) if name == "." else (f"{name}/", f"{name}[")
    found = [test_id for test_id in known if test_id == name or test_id.startswith(prefixes)]
    if not found and not path.exists():
        raise ClnrmError(
            f"cannot read `{path}`: no such file, and no run of a test of it",
            "CLN001",
            hint="`clnrm history` lists the tests that have run.",
        )
    return found
