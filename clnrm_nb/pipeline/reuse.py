"""Outcomes of tests that did not run: what is stored of the run in which they passed.

A thousand of them are made in the time one test takes to start, so nothing of what is stored is read before
somebody looks at it: an outcome knows its entry, and its own slots stay empty until then.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.cache import CacheStore, Entry
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.report.text import Mask
    from clnrm_nb.spans.table import SpanTable

__all__ = ["CachedOutcome", "head_of", "record_of", "rejudged"]

_JUDGED_BY: Final = ("objects", "leftovers", "images", "addresses")
"""What only judging needs, and no report shows."""

_STORED: Final = frozenset({"scenarios", "expectations", "timings_ms", "attempts", *_JUDGED_BY})


class CachedOutcome(TestOutcome):
    """A test that was not run because nothing it depends on has changed.

    Parameters
    ----------
    entry : Entry
        What is stored of it; its objects are there.
    store : CacheStore
        Where the rest is read from, as long as there is a state directory.
    findings : sequence of mapping
        What validation says of the file now, as JSON.
    """

    __slots__ = ("_entry", "_findings", "_is_read", "_store")

    def __init__(self, entry: Entry, store: CacheStore, findings: Sequence[Mapping[str, Any]] = ()) -> None:
        more = entry.more
        self._entry, self._store, self._is_read = entry, store, False
        self._findings = [*findings, *more.get("findings", ())]
        self.id = entry.test_id
        self.name = more.get("name", entry.test_id)
        self.status, self.stored_status, self.cached = "cached", "passed", True
        self.duration_ms = entry.duration_ms or 0.0
        self.backend, self.isolation = entry.backend, entry.isolation
        self.hermetic, self.replayed = bool(entry.hermetic), bool(more.get("replayed"))
        self.matrix = dict(entry.matrix)
        self.hash, self.hash_reason = entry.hash, None
        writer = more.get("shared_by")
        self.reason = f"unchanged since run {entry.run}{f' of {writer}' if writer else ''}"
        self.complete, self.trace_digest = True, entry.trace_digest
        self.taken_over_from = self.was_ready = None

    @property
    def entry(self) -> Entry:
        """What is stored of it."""
        return self._entry

    @property
    def is_unread(self) -> bool:
        """See the base."""
        return not self._is_read

    @property
    def span_count(self) -> int:
        """See the base."""
        return self._entry.span_count

    def __getattr__(self, name: str) -> Any:
        """Called for slots that are empty: they are filled now."""
        if name == "spans":
            self.spans = _spans(self._entry, self._store)
        elif name == "diagnostics":
            from clnrm_nb.executor.stored import finding_from

            self.diagnostics = [finding_from(each) for each in self._findings]
        elif name in _STORED:
            self._read()
        else:
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def head_json(self) -> dict[str, Any]:
        """See the base; scenarios without their commands."""
        entry = self._entry
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "stored_status": self.stored_status,
            "duration_ms": self.duration_ms,
            "cached": True,
            "backend": self.backend,
            "hermetic": self.hermetic,
            "replayed": self.replayed,
            "isolation": self.isolation,
            "matrix": self.matrix,
            "hash": self.hash,
            "hash_reason": None,
            "reason": self.reason,
            "span_count": entry.span_count,
            "complete": True,
            "trace_digest": entry.trace_digest,
            "timings_ms": {},
            "scenarios": [{**one, "commands": []} for one in entry.more.get("scenarios", ())],
            "expectations": [],
            "diagnostics": self._findings,
        }

    def _read(self) -> None:
        """Fill what is stored; where it is gone by now, with as much as the entry itself says."""
        self._is_read = True
        stored = _stored(self._entry, self._store)
        if stored is None:
            heads = self._entry.more.get("scenarios", ())
            stored = TestOutcome(self.id, self.name, scenarios=[ScenarioOutcome(**one) for one in heads])
        for name in _STORED:
            setattr(self, name, getattr(stored, name))


def rejudged(loaded: LoadedTest, entry: Entry, store: CacheStore) -> TestOutcome | None:
    """The stored run of a test judged by what is expected now; ``None`` if it cannot be read any more."""
    from clnrm_nb.pipeline.judge import judge
    from clnrm_nb.spans.table import SpanTable

    outcome, spans = _stored(entry, store), _spans(entry, store)
    if outcome is None or (entry.spans is not None and spans is None):
        return None
    outcome.spans = SpanTable() if spans is None else spans
    outcome.reason = None
    judge(loaded, outcome)
    told = f"judged again on the stored spans of run {entry.run}; nothing was run"
    outcome.reason = f"{outcome.why}; {told}" if outcome.why else told
    outcome.cached, outcome.stored_status, outcome.hash = True, "passed", entry.hash
    if outcome.status == "passed":
        outcome.status = "cached"
    return outcome


def record_of(outcome: TestOutcome, findings: Sequence[Any], mask: Mask) -> bytes:
    """What is stored of an outcome beside its spans.

    Parameters
    ----------
    findings : sequence of Diagnostic
        Those of the run: what validation says is found out anew each time.
    """
    judging = {name: getattr(outcome, name) for name in _JUDGED_BY}
    document = {**outcome.to_json(), "diagnostics": [finding.to_json() for finding in findings]}
    whole = json_ready({"outcome": document, "judging": judging}, mask)
    return json.dumps(whole, default=str, separators=(",", ":")).encode()


def head_of(outcome: TestOutcome, findings: Sequence[Any], mask: Mask) -> dict[str, Any]:
    """What is known of an outcome without reading its record (``Entry.more``)."""
    scenarios = [
        {key: value for key, value in one.to_json().items() if key != "commands"} for one in outcome.scenarios
    ]
    head = {
        "name": outcome.name,
        "replayed": outcome.replayed,
        "scenarios": scenarios,
        "findings": [finding.to_json() for finding in findings],
    }
    return dict(json_ready({key: value for key, value in head.items() if value}, mask))


def _stored(entry: Entry, store: CacheStore) -> TestOutcome | None:
    from clnrm_nb.executor.stored import outcome_from

    content = store.record_of(entry)
    if content is None:
        return None
    try:
        document = json.loads(content)
        outcome = outcome_from(document["outcome"])
        judging = document["judging"]
        outcome.objects, outcome.images = judging["objects"], judging["images"]
        outcome.addresses = judging["addresses"]
        outcome.leftovers = [(kind, name) for kind, name in judging["leftovers"]]
    except (KeyError, TypeError, ValueError):
        return None
    return outcome


def _spans(entry: Entry, store: CacheStore) -> SpanTable | None:
    content = store.spans_of(entry)
    if content is None:
        return None
    from clnrm_nb.spans.loaders import load

    return load(content, allow_empty=True)[0]
