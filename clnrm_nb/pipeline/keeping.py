"""What a run adds to the cache: results of tests that passed, and the end of those that no longer do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache import Deposit, Entry, digest_of_values
from clnrm_nb.errors import Diagnostic
from clnrm_nb.pipeline.record import stored_spans
from clnrm_nb.pipeline.reuse import head_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clnrm_nb.cache import CacheStore, Key
    from clnrm_nb.cache.shared import SharedCache
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.report.text import Mask

__all__ = ["hold_against_the_stored", "keep"]

_NOT_A_PASS: Final = frozenset({"failed", "error", "incomplete", "flaky"})


def keep(
    outcomes: Iterable[TestOutcome],
    tests: Mapping[str, LoadedTest],
    keys: Mapping[str, Key],
    *,
    store: CacheStore,
    run_id: str,
    spans: Mapping[str, str],
    mask: Mask,
    is_repeated: bool = False,
    shared: SharedCache | None = None,
) -> None:
    """Store tests that passed, and drop what is stored of those that did not. Blocks for the disk.

    Parameters
    ----------
    outcomes : iterable of TestOutcome
        Judged; those that did not run are passed over.
    keys : mapping of str to Key
        Confirmed after the run.
    spans : mapping of str to str
        Digests of stored spans, where there are any by now.
    is_repeated : bool
        Tests ran several times: nothing is stored.
    shared : SharedCache, optional
        Is offered what is stored.
    """
    ran = [(outcome, keys[outcome.id]) for outcome in outcomes if outcome.id in keys and not outcome.cached]
    store.drop([(outcome.id, key.hash) for outcome, key in ran if outcome.status in _NOT_A_PASS])
    if not is_repeated:
        deposits = [
            _deposit(outcome, tests[outcome.id], key, run_id=run_id, spans=spans.get(outcome.id), mask=mask)
            for outcome, key in ran
            if outcome.status == "passed" and outcome.complete
        ]
        store.put(deposits)
        if shared is not None:
            shared.offer_all(deposits, lambda deposit: store.spans_of(deposit.entry))


def _deposit(
    outcome: TestOutcome, test: LoadedTest, key: Key, *, run_id: str, spans: str | None, mask: Mask
) -> Deposit:
    said = set(test.diagnostics)
    findings = [finding for finding in outcome.diagnostics if finding not in said]
    text = test.checked.rendered.text if test.checked else None
    rendered = hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()
    more: dict[str, Any] = {**head_of(outcome, findings, mask), "images": key.parts.get("images", {})}
    return Deposit(
        Entry(
            test_id=outcome.id,
            hash=key.hash,
            verdict=key.verdict,
            run=run_id,
            duration_ms=round(outcome.duration_ms, 3),
            backend=outcome.backend,
            isolation=outcome.isolation,
            hermetic=outcome.hermetic,
            matrix=key.parts.get("matrix", {}),
            trace_digest=outcome.trace_digest,
            span_count=outcome.span_count,
            rendered=rendered,
            vars_hash=digest_of_values(key.parts.get("variables", {})),
            env=key.parts.get("environment", {}),
            files=key.parts.get("files", {}),
            more=more,
            spans=spans,
        ),
        key,
        record_of(outcome, findings, mask),
        stored_spans(outcome) if spans is None else None,
    )


def hold_against_the_stored(outcome: TestOutcome, entry: Entry, store: CacheStore) -> bool:
    """An audited hit: whether the test, run all the same, shows what is stored; if not, it has failed.

    A result that a run does not bear out is forgotten, whichever of the two is right (CLN807).
    """
    if outcome.status in ("skipped", "interrupted"):
        return True
    why = _difference(outcome, entry)
    if why is None:
        return True
    store.drop([entry.key])
    outcome.diagnostics.append(Diagnostic("CLN807", why, test=outcome.id))
    if outcome.status == "passed":
        outcome.status = "failed"
    outcome.reason = f"{outcome.reason}; {why}" if outcome.reason else why
    return False


def _difference(outcome: TestOutcome, entry: Entry) -> str | None:
    told = f"than the result stored by run {entry.run}"
    if outcome.status != "passed":
        return f"audit of the cache: run again it is {outcome.status}, which is other {told}"
    stored = {one["name"]: one["trace_digest"] for one in entry.more.get("scenarios", ())}
    for scenario in outcome.scenarios:
        if scenario.trace_digest != stored.get(scenario.name):
            return f"audit of the cache: run again, the trace of scenario `{scenario.name}` is other {told}"
    if outcome.trace_digest != entry.trace_digest:
        return f"audit of the cache: run again, the trace of the test is other {told}"
    return None
