"""``cache``: what is stored of tests that passed, and why a test is run or not."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.cache.export import export_path, remove_export, write_export
from clnrm_nb.cache.store import CacheStore
from clnrm_nb.cache.upkeep import is_among
from clnrm_nb.cache.why import headline, sentences
from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.errors import ClnrmError
from clnrm_nb.report.cached import CacheStats
from clnrm_nb.report.text import number_text
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from clnrm_nb.cache.entry import Decision, Entry, Stats
    from clnrm_nb.pipeline.explaining import Explanation

__all__ = ["cache_clear", "cache_list", "cache_stats", "cache_verify", "cache_why"]

_NOT_RUN: Final = frozenset({"hit", "rejudge"})
_PAST: Final = {
    "hit": "a hit, it was not run",
    "rejudge": "its stored spans were judged again, it was not run",
    "miss": "a miss, it was run",
    "uncacheable": "it was run, as no result of it is kept",
}
_PRESENT: Final = {
    "hit": "it would be a hit, and not be run",
    "rejudge": "its stored spans would be judged again, it would not be run",
    "miss": "it would be run",
    "uncacheable": "it would be run, as no result of it is kept",
}


def cache_stats(*, context: Context | None = None, **options: Any) -> CacheStats:
    """How many results are stored, how often they were used, and what an audit of them found.

    Returns
    -------
    CacheStats
        ``.frame`` has a row an entry; ``raw["summary"]`` the figures, rates as shares from 0 to 1.
    """
    here = context_of(context, options)
    refuse_unknown("cache_stats", options)
    with State.open(here.project.state_dir) as state:
        store = CacheStore(state, here.settings.cache)
        stats = store.stats()
        return CacheStats(
            _records(store.entries(), store.decisions()),
            facts=_facts(stats, here),
            command="cache stats",
            summary=_summary(stats),
            findings=state.diagnostics,
        )


def cache_list(
    paths: str | Path | Sequence[str | Path] = ".", *, context: Context | None = None, **options: Any
) -> CacheStats:
    """The stored results, those used last first.

    Parameters
    ----------
    paths : path or sequence of paths
        Scenario files and directories, or test ids.

    Raises
    ------
    ClnrmError
        CLN001: a path is not there, and nothing is stored of a test of it.
    """
    here = context_of(context, options)
    refuse_unknown("cache_list", options)
    with State.open(here.project.state_dir) as state:
        store = CacheStore(state, here.settings.cache)
        chosen = _chosen(paths, [entry.test_id for entry in store.entries()], here)
        entries = store.entries(chosen)
        records = _records(entries, store.decisions({entry.test_id for entry in entries}))
        return CacheStats(records, command="cache list", findings=state.diagnostics)


def cache_clear(
    paths: str | Path | Sequence[str | Path] = ".", *, context: Context | None = None, **options: Any
) -> CacheStats:
    """Forget stored results, so that their tests run again; the export follows.

    Parameters
    ----------
    paths : path or sequence of paths
        Scenario files and directories, or test ids.

    Returns
    -------
    CacheStats
        What has been forgotten.

    Raises
    ------
    ClnrmError
        CLN805: another process is clearing. CLN001: a path is not there, or nothing can be written.
    """
    here = context_of(context, options)
    refuse_unknown("cache_clear", options)
    with State.open(here.project.state_dir) as state:
        store = CacheStore(state, here.settings.cache)
        chosen = _chosen(paths, [entry.test_id for entry in store.entries()], here)
        records = _records(store.entries(chosen), {})
        n_gone = store.clear(chosen)
        _renew_export(store, here)
        notes = [f"forgot {number_text(n_gone, 'result')}"]
        return CacheStats(records, command="cache clear", notes=notes, findings=state.diagnostics)


def cache_verify(*, context: Context | None = None, **options: Any) -> CacheStats:
    """Check every stored object against its digest.

    Returns
    -------
    CacheStats
        The entries that had to go; ``exit_code`` 1 if there are any, or anything was damaged. The store is
        whole afterwards: what is damaged has been set aside.
    """
    here = context_of(context, options)
    refuse_unknown("cache_verify", options)
    with State.open(here.project.state_dir) as state:
        store = CacheStore(state, here.settings.cache)
        before = {entry.key: entry for entry in store.entries()}
        found = store.verify()
        is_whole = not (found.damaged or found.missing or found.dropped)
        if found.dropped:
            _renew_export(store, here)
        counted = f"{_counted(found.entries, 'entry', 'entries')}, {number_text(found.objects, 'object')}"
        notes = [f"{counted}: {'whole' if is_whole else 'not whole'}"]
        notes += [f"object `{digest}` is missing" for digest in found.missing]
        return CacheStats(
            _records([before[key] for key in found.dropped if key in before], {}),
            command="cache verify",
            exit_code=int(not is_whole),
            notes=notes,
            findings=state.diagnostics,
            summary={
                "entries": found.entries,
                "objects": found.objects,
                "damaged": len(found.damaged),
                "missing": len(found.missing),
                "dropped": len(found.dropped),
            },
        )


def cache_why(id: str, *, context: Context | None = None, **options: Any) -> CacheStats:  # noqa: A002  # Its name.
    """Why a test was run, or was not, the last time, and what would be done now.

    Parameters
    ----------
    id : str
        A test id, a scenario file, or a glob of ids.

    Returns
    -------
    CacheStats
        ``raw["data"]["why"]`` has the causes as data, ``.frame`` a row a test.

    Raises
    ------
    ClnrmError
        CLN001: there is no such test.
    """
    here = context_of(context, options)
    from clnrm_nb.pipeline.explaining import explain_tests

    variables = variables_from(options)
    no_template = bool(options.pop("no_template", False))
    refuse_unknown("cache_why", options)
    with State.open(here.project.state_dir) as state:
        store = CacheStore(state, here.settings.cache)
        known = {*store.decisions(), *(entry.test_id for entry in store.entries())}
        chosen = _tests_named(id, known, here)
        found = explain_tests(
            chosen,
            variables,
            no_template=no_template,
            project=here.project,
            settings=here.settings,
            state=state,
        )
        if not found:
            raise _no_such_test(id, known)
        return CacheStats(
            [_explained_record(one) for one in found],
            explained=[_told(one) for one in found],
            command="cache why",
            findings=state.diagnostics,
            data={"why": [_document(one) for one in found]},
        )


# ------------------------------------------------------------------------------------------- choosing


def _chosen(paths: str | Path | Sequence[str | Path], known: Collection[str], here: Context) -> list[str]:
    """Names as the store has them; ids stand for themselves."""
    names = []
    for path in paths_of(paths):
        name = str(path) if str(path) in known else here.project.relative(path)
        if not path.exists() and not any(is_among(test_id, [name]) for test_id in known):
            raise ClnrmError(
                f"cannot read `{path}`: no such file, and nothing is stored of a test of it"
                f"{did_you_mean(str(path), known)}",
                "CLN001",
                hint="`clnrm cache list` lists what is stored.",
            )
        names.append(name)
    return names


def _tests_named(name: str, known: Collection[str], here: Context) -> list[str]:
    """Ids, or files whose tests are meant."""
    if name in known:
        return [name]
    if globbed := [test_id for test_id in sorted(known) if fnmatchcase(test_id, name)]:
        return globbed
    file = name.partition("[")[0]
    if Path(file).is_file():
        return [here.project.relative(file) + name[len(file) :]]
    if (here.project.root / file).is_file():
        return [name]
    # The end of an id is what people remember of it.
    if ends := [test_id for test_id in sorted(known) if test_id.endswith(f"/{name}")]:
        return ends
    raise _no_such_test(name, known)


def _no_such_test(name: str, known: Iterable[str]) -> ClnrmError:
    return ClnrmError(
        f"no test `{name}`{did_you_mean(name, known)}",
        "CLN001",
        hint="give a test id, a scenario file or a glob of ids; `clnrm cache list` lists what is stored.",
    )


def _renew_export(store: CacheStore, here: Context) -> None:
    path = export_path(here.project, here.settings.cache)
    if store.stats().entries:
        write_export(store, path)
    else:
        remove_export(path)


# ------------------------------------------------------------------------------------------- telling


def _records(entries: Iterable[Entry], decisions: Mapping[str, Decision]) -> list[dict[str, Any]]:
    return [_record(entry, decisions.get(entry.test_id)) for entry in entries]


def _record(entry: Entry, decision: Decision | None) -> dict[str, Any]:
    is_meant = decision is not None and decision.hash == entry.hash
    return {
        "test_id": entry.test_id,
        "hash": entry.hash,
        "status": "cached" if is_meant and decision is not None and decision.answer in _NOT_RUN else None,
        "stored_status": "passed" if entry.verdict is not None else None,
        "reason": _reason(entry, decision if is_meant else None),
        "duration_ms": entry.duration_ms,
        "last_used": entry.last_used,
        "updated": entry.updated,
    }


def _reason(entry: Entry, decision: Decision | None) -> str | None:
    if entry.verdict is None:
        return "did not pass when it was judged again; its spans are judged anew the next time"
    if decision is not None and decision.answer in _NOT_RUN and (said := sentences(decision)):
        return "; ".join(said)
    writer = entry.more.get("shared_by")
    return f"from the shared cache, by {writer}" if writer else None


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:,.1f} KiB"


def _summary(stats: Stats) -> dict[str, Any]:
    counted = stats.counters.get
    hits, misses, rejudged = (counted(name, 0) for name in ("hits", "misses", "rejudged"))
    audited, false_hits = counted("audited", 0), counted("false_hits", 0)
    asked = hits + rejudged + misses
    return {
        "entries": stats.entries,
        "tests": stats.tests,
        "hits": hits,
        "misses": misses,
        "rejudged": rejudged,
        "uncacheable": counted("uncacheable", 0),
        "hit_rate": (hits + rejudged) / asked if asked else None,
        "audited": audited,
        "false_hits": false_hits,
        "false_hit_rate": false_hits / audited if audited else None,
        "size_bytes": stats.size,
        "oldest": stats.oldest,
        "newest": stats.newest,
    }


def _facts(stats: Stats, here: Context) -> dict[str, str]:
    figures, limits = _summary(stats), here.settings.cache
    tests = number_text(stats.tests, "test")
    rate, false_rate = figures["hit_rate"], figures["false_hit_rate"]
    return {
        "entries": f"{stats.entries:,} of {limits.max_entries:,} at most, from {tests}",
        "size": f"{_size(stats.size)} of {limits.max_size_mb:,} MiB at most",
        "hits": f"{figures['hits']:,}",
        "judged again": f"{figures['rejudged']:,} on stored spans, nothing was run",
        "misses": f"{figures['misses']:,}",
        "uncacheable": f"{figures['uncacheable']:,}",
        "hit rate": "nothing was looked up yet" if rate is None else f"{rate:.1%}",
        "audited": f"{figures['audited']:,} hits were run all the same",
        "false hits": f"{figures['false_hits']:,}" + ("" if false_rate is None else f" ({false_rate:.1%})"),
        "least recently used": stats.oldest or "nothing",
        "most recently used": stats.newest or "nothing",
    }


def _explained_record(one: Explanation) -> dict[str, Any]:
    entry, said = one.entry, one.last or one.now
    return {
        "test_id": one.test_id,
        "hash": (said and said.hash) or (entry and entry.hash),
        "status": "cached" if said is not None and said.answer in _NOT_RUN else None,
        "stored_status": "passed" if entry is not None and entry.verdict is not None else None,
        "reason": "; ".join(sentences(said)) if said is not None else None,
        "duration_ms": entry and entry.duration_ms,
        "last_used": entry and entry.last_used,
        "updated": entry and entry.updated,
    }


def _told(one: Explanation) -> dict[str, Any]:
    """What was decided the last time, and what would be now."""
    lines: list[str] = []
    if one.last is not None:
        lines += [f"the last time{_when(one.last)}: {_PAST[one.last.answer]}", *_indented(one.last)]
    if one.now is not None:
        lines += [f"now: {_PRESENT[one.now.answer]}", *_indented(one.now)]
    said = one.last or one.now
    title = headline(said) if said is not None else f"{one.test_id}: nothing is known of it"
    return {"headline": title, "sentences": [*lines, *one.notes]}


def _when(decision: Decision) -> str:
    words = [word for word in (decision.at, decision.run and f"run {decision.run}") if word]
    return f" ({', '.join(words)})" if words else ""


def _indented(decision: Decision) -> list[str]:
    return [f"  {sentence}" for sentence in sentences(decision)]


def _document(one: Explanation) -> dict[str, Any]:
    return {
        "test_id": one.test_id,
        "last": _decision_document(one.last),
        "now": _decision_document(one.now),
        "notes": list(one.notes),
    }


def _decision_document(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        **decision.to_json(),
        "causes": [cause.to_json() for cause in decision.causes],
        "headline": headline(decision),
        "sentences": sentences(decision),
    }
