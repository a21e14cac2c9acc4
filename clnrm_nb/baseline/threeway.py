"""Baseline, the main branch and this run: which differences are this branch's own (``diff.md`` 7).

The baseline is held against main's trace with the settings it was held against this run's, and the two lists
of edits are compared by what they say: operation, place in the baseline, key, and both values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from clnrm_nb.baseline.difference import difference
from clnrm_nb.baseline.files import header_of, parse, scenario_of
from clnrm_nb.baseline.latest import Latests
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.baseline.versions import git_show
from clnrm_nb.config.revision import head_of, main_branch
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.spans.canonical import of_scenario, trace_digest
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.loaders import load
from clnrm_nb.state.reviews import Reviews
from clnrm_nb.state.store import GIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.config.project import Project
    from clnrm_nb.diff import Diff, DiffOptions, Edit
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State

__all__ = ["STANDINGS", "MainTrace", "MainTraces", "Standing", "ThreeWay", "three_way"]

Standing = Literal["new here", "differs from main", "already on main", "gone here"]
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)

_RUNS_SEARCHED: Final = 200


@dataclass(frozen=True, slots=True)
class MainTrace:
    """What the main branch has of one scenario.

    Parameters
    ----------
    kind : {"run", "baseline", "file"}
        Its last stored run, the baseline as it is committed there, or what a person named.
    name : str
        The same in words.
    digest : str
        Trace digest.
    """

    kind: Literal["run", "baseline", "file"]
    name: str
    digest: str
    table: SpanTable = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """How the differences of one run stand to those of main.

    Parameters
    ----------
    main : MainTrace or None
        ``None``: nothing of main is known, and the comparison is of two.
    standing : mapping of str to str
        ``edit_id`` of each counted edit of this run → how it stands.
    on_main : mapping of str to Edit
        For those that differ from main: main's edit at that place.
    gone : tuple of Edit
        Edits of main that this run does not have.
    """

    main: MainTrace | None
    standing: Mapping[str, Standing] = field(default_factory=dict)
    on_main: Mapping[str, Edit] = field(default_factory=dict)
    gone: tuple[Edit, ...] = ()

    @property
    def counts(self) -> dict[Standing, int]:
        """Edits by standing, every word of :data:`STANDINGS`."""
        counts: dict[Standing, int] = dict.fromkeys(STANDINGS, 0)
        for word in self.standing.values():
            counts[word] += 1
        counts["gone here"] = len(self.gone)
        return counts

    def to_json(self) -> dict[str, Any]:
        """The key ``three_way`` of an entry of ``data.diffs``."""
        main = self.main and {"kind": self.main.kind, "name": self.main.name, "digest": self.main.digest}
        return {
            "main": main,
            "counts": self.counts,
            "standing": dict(self.standing),
            "on_main": {name: edit.to_json() for name, edit in self.on_main.items()},
            "gone": [edit.to_json() for edit in self.gone],
        }


def three_way(
    baseline: SpanTable,
    main: MainTrace | None,
    diff: Diff,
    options: DiffOptions,
    *,
    digest: str | None = None,
) -> ThreeWay:
    """Compare the differences of a run with those of main.

    Parameters
    ----------
    baseline : SpanTable
    main : MainTrace or None
    diff : Diff
        From the baseline to the run.
    options : DiffOptions
        What counted in it.
    digest : str, optional
        The baseline's.
    """
    if main is None:
        return ThreeWay(None)
    theirs = _Items(difference(baseline, main.table, options, digest=digest))
    mine = _Items(diff)
    already = {
        edit.edit_id: met
        for edit in diff.counted
        if (met := theirs.take(theirs.by_saying, mine.saying(edit))) is not None
    }
    standing: dict[str, Standing] = {}
    on_main: dict[str, Edit] = {}
    for edit in diff.counted:
        if edit.edit_id in already:
            standing[edit.edit_id] = "already on main"
        elif (other := theirs.take(theirs.by_place, mine.place(edit))) is not None:
            standing[edit.edit_id] = "differs from main"
            on_main[edit.edit_id] = other
        else:
            standing[edit.edit_id] = "new here"
    return ThreeWay(main, standing, on_main, tuple(theirs.left))


class _Items:
    """The counted edits of a diff, to be found by what they say, or by where they are.

    Places are those of the baseline, which both diffs have in common: a name that a run gave to a span above
    changes the paths of all below it, and nothing about them.
    """

    def __init__(self, diff: Diff) -> None:
        self._diff = diff
        self._by_number = {pair.current: pair for pair in diff.spans if pair.current is not None}
        self._taken: set[str] = set()
        self.by_saying: dict[str, list[Edit]] = {}
        self.by_place: dict[str, list[Edit]] = {}
        for edit in diff.counted:
            self.by_saying.setdefault(self.saying(edit), []).append(edit)
            self.by_place.setdefault(self.place(edit), []).append(edit)

    @property
    def left(self) -> list[Edit]:
        """Those that nobody took."""
        return [edit for edit in self._diff.counted if edit.edit_id not in self._taken]

    def take(self, index: Mapping[str, list[Edit]], key: str) -> Edit | None:
        """One that nobody has taken yet."""
        found = next((edit for edit in index.get(key, ()) if edit.edit_id not in self._taken), None)
        if found is not None:
            self._taken.add(found.edit_id)
        return found

    def saying(self, edit: Edit) -> str:
        """All an edit says: operation, place, key, both values."""
        return canonical_json([edit.op, self._path(edit), edit.key, edit.baseline, edit.current])

    def place(self, edit: Edit) -> str:
        """Where it is, whatever it does there."""
        return canonical_json([edit.op.rstrip("~+-"), self._path(edit), edit.key])

    def _path(self, edit: Edit) -> str | None:
        if edit.baseline_path is not None or not edit.current_spans:
            return edit.baseline_path if edit.baseline_path is not None else edit.path
        names: list[str] = []
        pair = self._by_number.get(edit.current_spans[0])
        while pair is not None:
            names.append(pair.baseline_name or pair.name or "")
            pair = None if pair.parent is None else self._diff.spans[pair.parent]
        return "/".join(reversed(names)) or edit.path


class MainTraces:
    """Looks up what the main branch has of scenarios.

    Parameters
    ----------
    project : Project
    state : State
    given : str, optional
        ``--main``: a stored run by its id, or a file with spans.

    Raises
    ------
    UsageError
        `given` is neither.
    ClnrmError
        The file cannot be read, or holds no spans.
    """

    def __init__(self, project: Project, state: State, given: str | None = None) -> None:
        self._project = project
        self._state = state
        self._store = BaselineStore(project)
        self._latests = Latests(state, Reviews(state))
        self._branch = main_branch(project.root)
        self._given: SpanTable | None = None
        self._given_run: str | None = None
        self._name = given or ""
        if given is not None:
            self._read(given)
        self._runs = {
            run["run"]: run["data"].get(GIT) or {} for run in state.runs(_RUNS_SEARCHED) if given is None
        }

    def _read(self, given: str) -> None:
        if self._state.run(given) is not None:
            self._given_run = given
            return
        path = self._project.root / given
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"--main {given}: no stored run is called that, and no file can be read: {error.strerror}",
                hint="`clnrm history` lists runs",
            ) from None
        header = header_of(content) if content.startswith(b'{"clnrm":') else None
        if header is not None:
            self._given = parse(content, str(header.get("id")), name=given).table
        else:
            self._given, _ = load(content)

    def of(self, baseline_id: str) -> MainTrace | None:
        """What main has of an id; ``None`` if nothing is known of it."""
        if self._given is not None:
            table = self._given
            marked = of_scenario(table, scenario_of(baseline_id)[1])
            return _main("file", self._name, marked if len(marked) else table)
        if self._given_run is not None:
            return self._of_run(baseline_id, self._given_run)
        if self._branch is None:
            return None
        return (
            self._last_run(baseline_id)
            or self._committed(baseline_id)
            or self._last_run(baseline_id, is_dirty=True)
        )

    def _last_run(self, baseline_id: str, *, is_dirty: bool = False) -> MainTrace | None:
        """Main's last whole run, of its commits or of files changed since.

        On main itself the newest one is the one that is being compared.
        """
        test_id, _ = scenario_of(baseline_id)
        rows = self._state.history([test_id], limit=_RUNS_SEARCHED)
        here = head_of(self._project.root) or {}
        if here.get("branch") == self._branch:
            rows = rows[1:]
        for row in rows:
            checkout = self._runs.get(row["run"], {})
            if checkout.get("branch") == self._branch and bool(checkout.get("dirty")) is is_dirty:
                found = self._of_run(baseline_id, row["run"])
                if found is not None:
                    return found
        return None

    def _of_run(self, baseline_id: str, run: str) -> MainTrace | None:
        latest = self._latests.of_run(baseline_id, run)
        if latest is None or not latest.complete:
            return None
        return _main("run", f"run {run}{self._where(run)}, {latest.at[:10]}", latest.table)

    def _where(self, run: str) -> str:
        if self._given_run:
            return ""
        checkout = self._runs.get(run, {})
        commit = f" at {checkout['commit'][:7]}" if checkout.get("commit") else ""
        changed = " with changes that were not committed" if checkout.get("dirty") else ""
        return f" of `{self._branch}`{commit}{changed}"

    def _committed(self, baseline_id: str) -> MainTrace | None:
        path = self._store.path(baseline_id)
        for revision in (self._branch, f"origin/{self._branch}"):
            content = git_show(path, str(revision))
            if content is None:
                continue
            try:
                table = parse(content, baseline_id, name=f"{revision}:{path.name}").table
            except ClnrmError:
                continue
            return _main("baseline", f"the baseline on `{revision}`", table)
        return None


def _main(kind: Literal["run", "baseline", "file"], name: str, table: SpanTable) -> MainTrace:
    return MainTrace(kind, name, trace_digest(table), table)
