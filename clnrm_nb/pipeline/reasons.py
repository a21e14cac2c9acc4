"""Why the cache answers as it does: for the record of a run, and for ``clnrm cache why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.cache.entry import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.cache import CacheStore, Entry, Fingerprints, Key
    from clnrm_nb.cache.sight import Sight
    from clnrm_nb.pipeline.known import SourceFile, Tests
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.state import State

__all__ = ["Reasons"]


class Reasons:
    """Of the tests of one look-up.

    Parameters
    ----------
    tests : Tests
    prints : Fingerprints
        Of what the tests mount, as it was read for them.
    """

    def __init__(self, tests: Tests, *, store: CacheStore, state: State, prints: Fingerprints) -> None:
        self._tests = tests
        self._store = store
        self._state = state
        self._present = tests.present(prints)
        self._files = {test.test_id: file for file in tests.files for test in file.tests}
        self._edits: dict[str, list[Cause]] = {}

    def of_misses(
        self, tests: Mapping[str, LoadedTest], keys: Mapping[str, Key], latest: Mapping[str, Entry]
    ) -> dict[str, tuple[Cause, ...]]:
        """Of tests without an entry under their hashes.

        Parameters
        ----------
        latest : mapping of str to Entry
            What is stored of them under other hashes.
        """
        from clnrm_nb.cache.absence import why_absent

        absent = why_absent(self._state, {test_id: keys[test_id].hash for test_id in tests})
        return {
            test_id: (absent[test_id],)
            if test_id in absent
            else self._of_a_miss(test, keys[test_id], latest.get(test_id))
            for test_id, test in tests.items()
        }

    def _of_a_miss(self, test: LoadedTest, key: Key, latest: Entry | None) -> tuple[Cause, ...]:
        from clnrm_nb.cache.causes import between

        if latest is None:
            return (Cause("first"),)
        before = self._store.key_of(latest)
        if before is None:
            return (Cause("object"),)
        return tuple(between(before.parts, key.parts, self._sight(test))) or (Cause("version"),)

    def of_a_verdict(self, test: LoadedTest, entry: Entry, before: Key | None, key: Key) -> tuple[Cause, ...]:
        """Why stored spans are judged again.

        Parameters
        ----------
        before : Key or None
            What they were judged by.
        """
        from clnrm_nb.cache.causes import between_verdicts

        if entry.verdict is None or before is None:
            return (Cause("unjudged"),)
        return tuple(between_verdicts(before.expectations, key.expectations, self._sight(test)))

    def of_a_hit(self, test_id: str) -> tuple[Cause, ...]:
        """What was edited and does not count."""
        from clnrm_nb.cache.edits import cosmetic

        return cosmetic(self._edits_of(test_id))

    def _sight(self, test: LoadedTest) -> Sight:
        from clnrm_nb.cache.edits import lines_of, mounted_of
        from clnrm_nb.cache.sight import Sight

        edits = self._edits_of(test.test_id)
        return Sight(
            test.checked,
            self._tests.root,
            given=self._tests.origins,
            lines=lines_of(edits),
            mounted=mounted_of(edits),
        )

    def _edits_of(self, test_id: str) -> list[Cause]:
        """What differs from the last manifest of the test's file."""
        file = self._files.get(test_id)
        if file is None:
            return []
        if file.name not in self._edits:
            self._edits[file.name] = self._edited(file)
        return self._edits[file.name]

    def _edited(self, file: SourceFile) -> list[Cause]:
        from clnrm_nb.cache.edits import edits_since

        manifest = file.manifest or self._store.manifest_of(file.request.file)
        if manifest is None:
            return []
        return edits_since(manifest, self._store.prints_of(manifest), self._present)
