"""What the cache would do with tests now, and what it did the last time; nothing is run and nothing written.

The same questions in the same order as before a run, asked of a file that is rendered in any case: only a
rendering knows the lines in which a cause stands.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.baseline.rulefile import read as read_rules
from clnrm_nb.cache.entry import Cause, Decision
from clnrm_nb.cache.store import CacheStore
from clnrm_nb.pipeline.images import images_now, resolved_backend
from clnrm_nb.pipeline.inputs import Inputs
from clnrm_nb.pipeline.known import Tests
from clnrm_nb.pipeline.load import LoadedTest
from clnrm_nb.pipeline.reasons import Reasons
from clnrm_nb.pipeline.request import RunRequest, Sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.cache import Answer, Entry, Key
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.pipeline.images import ImageIds
    from clnrm_nb.pipeline.request import Variables
    from clnrm_nb.state import State

__all__ = ["Explanation", "explain_tests"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say of one test.

    Parameters
    ----------
    last : Decision or None
        Of the last run that asked.
    now : Decision or None
        What a run would be told now; ``None``: its file is gone.
    entry : Entry or None
        What is stored of it: with these inputs, else what was stored last.
    notes : tuple of str
        What else one should know.
    """

    test_id: str
    last: Decision | None
    now: Decision | None
    entry: Entry | None
    notes: tuple[str, ...] = ()


def explain_tests(
    names: Sequence[str],
    variables: Variables,
    *,
    no_template: bool,
    project: Project,
    settings: Settings,
    state: State,
) -> list[Explanation]:
    """Explain tests by id, and those of files; what is neither is left out.

    Parameters
    ----------
    names : sequence of str
        Test ids, or scenario files by their paths from the project root.
    variables : Variables
        As for a run: other variables are other inputs.
    """
    files = sorted({_file_of(name) for name in names})
    paths = [project.root / file for file in files if (project.root / file).is_file()]
    request = RunRequest(Sources(paths, no_template=no_template), variables)
    store = CacheStore(state, settings.cache)
    found: dict[str, Explanation] = {}
    ran_on = _backends(state, store, settings, files)
    for backend in dict.fromkeys(ran_on.values()):
        explainer = _Explainer(
            request, project=project, settings=settings, state=state, store=store, backend=backend
        )
        mine = [name for name in names if ran_on[_file_of(name)] == backend]
        found |= {one.test_id: one for one in explainer.explained(mine)}
    gone = [name for name in names if name not in found and not (project.root / name).is_file()]
    return [*found.values(), *_of_the_past(gone, store)]


def _backends(state: State, store: CacheStore, settings: Settings, files: Sequence[str]) -> dict[str, str]:
    """The backend on which the tests of each file are asked about.

    The configured one; where none is, that of their last run: `why` has no ``--backend``.
    """
    configured = resolved_backend(settings)
    if settings.origin("executor.backend") != "default":
        return dict.fromkeys(files, configured)
    last = {**{name: entry.backend for name, entry in store.latest().items()}}
    last |= {name: row["backend"] for name, row in state.last_results().items() if row["backend"]}
    by_file = {_file_of(name): backend for name, backend in last.items()}
    return {file: by_file.get(file, configured) for file in files}


def _of_the_past(names: Sequence[str], store: CacheStore) -> list[Explanation]:
    """Of tests that are not there any more."""
    latest, decisions = store.latest(names), store.decisions(names)
    return [
        Explanation(name, decisions.get(name), None, latest.get(name), ("there is no such test any more",))
        for name in names
        if name in latest or name in decisions
    ]


class _Explainer:
    def __init__(
        self,
        request: RunRequest,
        *,
        project: Project,
        settings: Settings,
        state: State,
        store: CacheStore,
        backend: str,
    ) -> None:
        self._project = project
        self._settings = settings
        self._state = state
        self._store = store
        self._backend = backend
        self._ran = state.last_results()
        self._tests = Tests(
            request,
            project=project,
            settings=settings,
            store=store,
            backend=backend,
            uses_manifests=False,
        )
        self._reasons = Reasons(self._tests, store=store, state=state, given=request.variables.origins)
        environ = request.variables.environ or os.environ
        self._inputs = Inputs(
            project=project,
            settings=settings,
            backend=backend,
            environ=environ,
            rules=read_rules(project),
        )

    def explained(self, names: Sequence[str]) -> list[Explanation]:
        """Of the tests that there are."""
        chosen = [
            test
            for file in self._tests.files
            for test in file.tests
            if isinstance(test, LoadedTest) and (test.test_id in names or file.request.file in names)
        ]
        self._inputs.take({test.test_id: test for test in chosen if test.test is not None})
        images = images_now(
            {name for one in self._inputs.values() for name in one.images},
            self._backend,
            self._settings,
            self._state,
        )
        keys = self._keys(images)
        ids = [test.test_id for test in chosen]
        stored = self._store.find([(test_id, key.hash) for test_id, key in keys.items()])
        latest, decisions = self._store.latest(ids), self._store.decisions(ids)
        found = []
        for test in chosen:
            key = keys.get(test.test_id)
            entry = stored.get((test.test_id, key.hash)) if key is not None else None
            before = latest.get(test.test_id)
            now = self._refused(test, images) if key is None else self._decided(test, key, entry)
            last = decisions.get(test.test_id)
            found.append(Explanation(test.test_id, last, now, entry or before, self._notes(test, last)))
        return found

    def _notes(self, test: LoadedTest, last: Decision | None) -> tuple[str, ...]:
        notes = []
        ran = self._ran.get(test.test_id)
        if ran is not None and (last is None or (ran["run"] != last.run and ran["at"] >= last.at)):
            notes.append(
                f"its last run ({ran['at']}, run {ran['run']}) did not ask the cache, "
                "as with --no-cache, --repeat and --until-fail"
            )
        if not self._settings.cache.enabled:
            notes.append(
                "the cache is switched off (cache.enabled = false): tests are run, whatever it knows"
            )
        return tuple(notes)

    def _keys(self, images: ImageIds) -> dict[str, Key]:
        return {
            test_id: one.key.with_images({name: images.ids[name] for name in one.images})
            for test_id, one in self._inputs.items()
            if one.key is not None and one.reason is None and images.why_unknown(one.images) is None
        }

    # ----------------------------------------------------------------------------------------- deciding

    def _refused(self, test: LoadedTest, images: ImageIds) -> Decision:
        """Without a hash nothing can be looked up."""
        mine = self._inputs.get(test.test_id)
        if mine is None:
            return Decision(
                test.test_id, "uncacheable", reason="its file holds errors, so it is not run at all"
            )
        return Decision(test.test_id, "uncacheable", reason=mine.reason or images.why_unknown(mine.images))

    def _decided(self, test: LoadedTest, key: Key, entry: Entry | None) -> Decision:
        answer: Answer
        causes: Sequence[Cause]
        if entry is None:
            answer, causes = (
                "miss",
                self._reasons.of_misses({test.test_id: test}, {test.test_id: key})[test.test_id],
            )
        elif not self._store.are_whole([entry]):
            answer, causes = "miss", (Cause("object"),)
        elif entry.verdict == key.verdict:
            answer, causes = "hit", self._reasons.of_a_hit(test)
        else:
            answer, causes = "rejudge", self._reasons.of_another_verdict(test, entry, key)
        stored_run = entry.run if entry is not None else None
        return Decision(test.test_id, answer, key.hash, key.verdict, tuple(causes), stored_run=stored_run)


def _file_of(name: str) -> str:
    return name[: name.index("[")] if name.endswith("]") and "[" in name else name
