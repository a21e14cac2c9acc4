"""Why the cache decides as it does: what was edited, and what two keys differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.cache.absence import why_absent
from clnrm_nb.cache.causes import between, between_verdicts
from clnrm_nb.cache.edits import cosmetic, edits_since, lines_of, mounted_of
from clnrm_nb.cache.entry import Cause
from clnrm_nb.cache.fingerprint import Fingerprints
from clnrm_nb.cache.sight import Sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.cache import CacheStore, Entry, Key
    from clnrm_nb.pipeline.known import SourceFile, Tests
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.state import State

__all__ = ["Reasons"]


class Reasons:
    """The causes of decisions about tests whose files were read.

    Parameters
    ----------
    given : mapping of str to str
        How variables came from outside, by name.
    """

    def __init__(self, tests: Tests, *, store: CacheStore, state: State, given: Mapping[str, str]) -> None:
        self._tests = tests
        self._store = store
        self._state = state
        self._given = given
        self._files = {test.test_id: file for file in tests.files for test in file.tests}
        self._edits: dict[int, list[Cause]] = {}

    def of_a_hit(self, test: LoadedTest) -> tuple[Cause, ...]:
        """What was edited and does not count."""
        return cosmetic(self._edited(test))

    def of_misses(
        self, tests: Mapping[str, LoadedTest], keys: Mapping[str, Key]
    ) -> dict[str, tuple[Cause, ...]]:
        """Why nothing is stored of tests under their hashes."""
        absent = why_absent(self._state, {test_id: keys[test_id].hash for test_id in tests})
        latest = self._store.latest(list(tests))
        return {
            test_id: (absent[test_id],)
            if test_id in absent
            else self._differing(test, keys[test_id], latest.get(test_id))
            for test_id, test in tests.items()
        }

    def of_another_verdict(self, test: LoadedTest, entry: Entry, key: Key) -> tuple[Cause, ...]:
        """Why what is stored has to be judged again."""
        old = self._store.key_of(entry)
        if entry.verdict is None or old is None:
            return (Cause("unjudged"),)
        return tuple(between_verdicts(old, key, self._sight(test)))

    def _differing(self, test: LoadedTest, key: Key, before: Entry | None) -> tuple[Cause, ...]:
        if before is None:
            return (Cause("first"),)
        old = self._store.key_of(before)
        if old is None:
            return (Cause("object"),)
        found: Sequence[Cause] = between(old.parts, key.parts, self._sight(test))
        return tuple(found) or (Cause("version"),)

    def _sight(self, test: LoadedTest) -> Sight:
        edits = self._edited(test)
        return Sight(
            test.checked,
            self._tests.root,
            given=self._given,
            lines=lines_of(edits),
            mounted=mounted_of(edits),
        )

    def _edited(self, test: LoadedTest) -> list[Cause]:
        """What has been edited since the last manifest of the test's file, if there is any."""
        file = self._files.get(test.test_id)
        if file is None:
            return []
        if id(file) not in self._edits:
            self._edits[id(file)] = self._since(file)
        return self._edits[id(file)]

    def _since(self, file: SourceFile) -> list[Cause]:
        manifest = file.manifest or self._store.manifests([file.name]).get(file.name)
        manifest = manifest or self._store.manifest_of(file.request.file)
        if manifest is None:
            return []
        present = self._tests.present(Fingerprints(ignore=[self._tests.state_dir]))
        return edits_since(manifest, self._store.prints_of(manifest), present)
