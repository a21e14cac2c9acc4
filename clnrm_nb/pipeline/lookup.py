"""Before anything runs: which of the chosen tests need not, and why the others must.

By what their manifests say where nothing is read, by their hashes where a file differs: equal inputs judged
alike are a hit, equal inputs judged otherwise are judged again on the spans that are stored, all else is run.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from clnrm_nb.cache.entry import Cause, Decision
from clnrm_nb.cache.key import verdict_of
from clnrm_nb.executor.masking import mask_outcome
from clnrm_nb.pipeline.images import images_now
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.pipeline.reuse import CachedOutcome, rejudged
from clnrm_nb.pipeline.ruled import rules_for
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from clnrm_nb.cache import Answer, CacheStore, Entry, Key
    from clnrm_nb.cache.shared import SharedCache
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.images import ImageIds
    from clnrm_nb.pipeline.inputs import Inputs
    from clnrm_nb.pipeline.known import Tests
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.reasons import Reasons
    from clnrm_nb.secrets import Masker
    from clnrm_nb.state import State

__all__ = ["Found", "Lookup"]

AnyTest: TypeAlias = "KnownTest | LoadedTest"

_COUNTERS: Final = {"hit": "hits", "miss": "misses", "rejudge": "rejudged", "uncacheable": "uncacheable"}


@dataclass(slots=True)
class Found:
    """What the cache says about the chosen tests of a run.

    Attributes
    ----------
    outcomes : dict of str to TestOutcome
        Of tests that need not run.
    entries : dict of str to Entry
        What those come from.
    audited : dict of str to Entry
        Hits that are run all the same, to be held against what is stored.
    hashes : dict of str to str
        Of tests that are to run, as far as they have one.
    """

    outcomes: dict[str, TestOutcome] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    audited: dict[str, Entry] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


class Lookup:
    """One look-up. Every method blocks: it belongs on a thread of its own.

    Parameters
    ----------
    inputs : callable
        Makes inputs that hold nothing yet; asked for when a file has been read.
    backend : str
        Name of the backend.
    run_id, at : str
        The run that asks, and when.
    given : mapping of str to str
        How variables came from outside, by name.
    shared : SharedCache, optional
        Is asked for what is not stored here.
    rules : sequence of Rule
        The project's.
    """

    def __init__(
        self,
        tests: Tests,
        *,
        store: CacheStore,
        state: State,
        settings: Settings,
        make_inputs: Callable[[], Inputs],
        backend: str,
        run_id: str,
        at: str,
        given: Mapping[str, str],
        masker: Masker,
        shared: SharedCache | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        self._tests = tests
        self._store = store
        self._state = state
        self._settings = settings
        self._make_inputs = make_inputs
        self._backend = backend
        self._run_id = run_id
        self._at = at
        self._given = given
        self._masker = masker
        self._shared = shared
        self._rules = rules
        self._decisions: dict[str, Decision] = {}
        self._found = Found()
        self.inputs: Inputs | None = None
        """What tests of files that were read depend on."""

    def decide(self, chosen: Sequence[AnyTest]) -> tuple[list[AnyTest], Found]:
        """Which of the chosen tests need not run; those that must have their files read by then.

        To be followed by :meth:`settle`, for which nobody who waits for answers has to wait.

        Returns
        -------
        tests : list
            The chosen ones. Of a file that has only just changed as it is now.
        found : Found
        """
        found = self._found = Found()
        self._take(self._tests)
        images = self._images(chosen)
        known = [test for test in chosen if isinstance(test, KnownTest)]
        self._by_manifest(known, images, found)
        tests = self._read([test for test in known if test.test_id not in found.outcomes], chosen)
        self._by_hash([test for test in tests if not isinstance(test, KnownTest)], images, found)
        return self._sampled(tests, found), found

    def decide_again(self, tests: Sequence[LoadedTest]) -> Found:
        """As :meth:`decide`, for tests that are there as they are to be run, some time later; settled."""
        found = self._found = Found()
        self._decisions.clear()
        self.inputs = None
        self._take(tests)
        self._by_hash(tests, self._images(tests), found)
        self.settle()
        return found

    def answers(self) -> Counter[str]:
        """How often each answer was given by the last look-up."""
        words = {"rejudge": "rejudged"}
        return Counter(words.get(each.answer, each.answer) for each in self._decisions.values())

    def unanswered(self, chosen: Sequence[AnyTest]) -> list[AnyTest]:
        """The chosen tests, all of them read, as if nothing had been asked."""
        self.inputs, self._found = None, Found()
        self._decisions.clear()
        unread = {
            id(one.file): one.file for one in chosen if isinstance(one, KnownTest) and one.file.is_known
        }
        self._tests.load(list(unread.values()))
        now = {test.test_id: test for test in self._tests.loaded}
        return [now[test.test_id] for test in chosen if test.test_id in now]

    def prepare(self, reason: str, chosen: Sequence[AnyTest]) -> None:
        """Ask nothing, and be ready to store what comes of the tests.

        Parameters
        ----------
        reason : str
            The kind of cause for which nothing is asked.
        """
        self._take(self._tests)
        for test in chosen:
            self._note(test.test_id, "miss", causes=(Cause(reason),))
        self.settle()

    # ------------------------------------------------------------------------------------------- reading

    def _take(self, tests: Iterable[AnyTest]) -> None:
        loaded = {
            test.test_id: test for test in tests if not isinstance(test, KnownTest) and test.test is not None
        }
        if loaded and self.inputs is None:
            self.inputs = self._make_inputs()
        if self.inputs is not None:
            self.inputs.take(loaded)

    def _read(self, tests: Sequence[KnownTest], chosen: Sequence[AnyTest]) -> list[AnyTest]:
        """The chosen tests, the files of some of them read after all."""
        files = {id(test.file): test.file for test in tests}
        if not files:
            return list(chosen)
        self._tests.load(list(files.values()))
        now = {test.test_id: test for file in files.values() for test in file.tests}
        self._take(now.values())
        return [
            now[test.test_id] if isinstance(test, KnownTest) and id(test.file) in files else test
            for test in chosen
            if not isinstance(test, KnownTest) or id(test.file) not in files or test.test_id in now
        ]

    def _images(self, chosen: Sequence[AnyTest]) -> ImageIds:
        names: set[str] = set()
        for test in chosen:
            if isinstance(test, KnownTest):
                names.update(test.known.images)
            elif self.inputs is not None and test.test_id in self.inputs:
                names.update(self.inputs[test.test_id].images)
        return images_now(names, self._backend, self._settings, self._state)

    # ------------------------------------------------------------------------------------------ deciding

    def _by_manifest(self, tests: Sequence[KnownTest], images: ImageIds, found: Found) -> None:
        """Tests of files that were not read: hits, or they will be read."""
        hashes = {test.test_id: test.known.hash(images.ids) for test in tests}
        entries = self._whole((name, value) for name, value in hashes.items() if value is not None)
        for test in tests:
            entry = entries.get(test.test_id)
            if entry is not None and entry.verdict == self._verdict(test):
                self._hit(entry, test.known.more.get("findings", ()), found, by="manifest")

    def _verdict(self, test: KnownTest) -> str | None:
        judged = test.known.expectations
        return judged and verdict_of(judged, rules_for(test, self._rules))

    def _by_hash(self, tests: Sequence[LoadedTest], images: ImageIds, found: Found) -> None:
        keys: dict[str, Key] = {}
        for test in tests:
            if test.test is None or self.inputs is None:
                continue
            mine = self.inputs[test.test_id]
            why = mine.reason or images.why_unknown(mine.images)
            if mine.key is None or why is not None:
                is_never = mine.key is None or (why or "").startswith("uncacheable")
                self._note(test.test_id, "uncacheable" if is_never else "miss", reason=why)
            else:
                key = mine.key.with_images({name: images.ids[name] for name in mine.images})
                keys[test.test_id], found.hashes[test.test_id] = key, key.hash
        self._compare({test.test_id: test for test in tests if test.test_id in keys}, keys, found)

    def _compare(self, tests: Mapping[str, LoadedTest], keys: Mapping[str, Key], found: Found) -> None:
        asked = [(test_id, keys[test_id].hash) for test_id in tests]
        stored = self._store.find(asked)
        if self._shared is not None:
            missing = {name: keys[name] for name, value in asked if (name, value) not in stored}
            stored |= self._fetched(missing)
        whole = self._store.are_whole(stored.values())
        misses: list[str] = []
        for test_id, test in tests.items():
            key, entry = keys[test_id], stored.get((test_id, keys[test_id].hash))
            if entry is None:
                misses.append(test_id)
            elif entry.key not in whole:
                self._note(test_id, "miss", key, causes=(Cause("object"),))
            elif entry.verdict == key.verdict:
                findings = [json_ready(one.to_json(), self._masker.text) for one in test.diagnostics]
                self._hit(entry, findings, found, causes=self._reasons.of_a_hit(test))
            else:
                self._judge_again(test, entry, key, found)
        if misses:
            found_missing = self._reasons.of_misses({name: tests[name] for name in misses}, keys)
            for test_id, causes in found_missing.items():
                self._note(test_id, "miss", keys[test_id], causes=causes)

    def _fetched(self, wanted: Mapping[str, Key]) -> dict[tuple[str, str], Entry]:
        """Entries that others have made; they are kept, and then as good as our own."""
        assert self._shared is not None
        deposits = self._shared.fetch_all(wanted)
        self._store.put(deposits.values())
        return self._store.find([deposit.entry.key for deposit in deposits.values()])

    def _whole(self, keys: Iterable[tuple[str, str]]) -> dict[str, Entry]:
        """Entries whose objects are there, by test."""
        stored = self._store.find(list(keys))
        whole = self._store.are_whole(stored.values())
        return {entry.test_id: entry for key, entry in stored.items() if key in whole}

    def _hit(
        self,
        entry: Entry,
        findings: Sequence[Mapping[str, Any]],
        found: Found,
        *,
        by: str = "hash",
        causes: tuple[Cause, ...] = (),
    ) -> None:
        found.outcomes[entry.test_id] = CachedOutcome(entry, self._store, findings)
        found.entries[entry.test_id] = entry
        self._decisions[entry.test_id] = Decision(
            entry.test_id,
            "hit",
            entry.hash,
            entry.verdict,
            causes,
            f"taken from the shared cache, by {writer}" if (writer := entry.more.get("shared_by")) else None,
            by=by,
            at=self._at,
            run=self._run_id,
            stored_run=entry.run,
        )

    def _judge_again(self, test: LoadedTest, entry: Entry, key: Key, found: Found) -> None:
        outcome = rejudged(test, entry, self._store)
        if outcome is None:
            self._note(test.test_id, "miss", key, causes=(Cause("object"),))
            return
        causes = self._reasons.of_another_verdict(test, entry, key)
        mask_outcome(outcome, self._masker)
        verdict = key.verdict if outcome.status == "cached" else None
        self._store.rejudge(entry, verdict, key)
        # Settling may write the entry once more: it must be the one that was judged now.
        found.outcomes[test.test_id] = outcome
        found.entries[test.test_id] = replace(entry, verdict=verdict)
        self._note(test.test_id, "rejudge", key, causes=causes, entry=entry)

    # ------------------------------------------------------------------------------------------- reasons

    @cached_property
    def _reasons(self) -> Reasons:
        from clnrm_nb.pipeline.reasons import Reasons

        return Reasons(self._tests, store=self._store, state=self._state, given=self._given)

    def _note(
        self,
        test_id: str,
        answer: Answer,
        key: Key | None = None,
        *,
        causes: tuple[Cause, ...] = (),
        reason: str | None = None,
        entry: Entry | None = None,
    ) -> None:
        self._decisions[test_id] = Decision(
            test_id,
            answer,
            None if key is None else key.hash,
            None if key is None else key.verdict,
            causes,
            reason,
            at=self._at,
            run=self._run_id,
            stored_run=None if entry is None else entry.run,
        )

    # ------------------------------------------------------------------------------------- auditing, end

    def _sampled(self, tests: list[AnyTest], found: Found) -> list[AnyTest]:
        """The tests, a share of the hits among them to be run all the same."""
        hits = sorted(name for name, each in self._decisions.items() if each.answer == "hit")
        count = math.ceil(len(hits) * self._settings.cache.audit_percent / 100)
        chosen = set(random.Random(self._run_id).sample(hits, count))  # noqa: S311  # A sample, no secret.
        if not chosen:
            return tests
        for test_id in chosen:
            found.audited[test_id] = found.entries.pop(test_id)
            del found.outcomes[test_id]
            self._note(test_id, "miss", causes=(Cause("audit"),), entry=found.audited[test_id])
        unread = [test for test in tests if isinstance(test, KnownTest) and test.test_id in chosen]
        return self._read(unread, tests)

    def settle(self) -> None:
        """Keep what was found out, for the next look-up and for whoever asks why."""
        found = self._found
        counts = Counter(_COUNTERS[each.answer] for each in self._decisions.values())
        counts["audited"] += len(found.audited)
        counts["misses"] -= len(found.audited)
        counts["hits"] += len(found.audited)
        self._store.settle(
            used=list(found.entries.values()),
            decisions=list(self._decisions.values()),
            counts={name: count for name, count in counts.items() if count},
            manifests=self._tests.manifests(self.inputs, self._masker.text) if self.inputs else (),
            renewed=self._tests.renewed(),
        )
