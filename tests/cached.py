"""Results for the cache's tests: small, distinct, and told apart by what they hold."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count

from clnrm_nb.cache import (
    CacheStore,
    Deposit,
    Entry,
    Inputs,
    Key,
    Manifest,
    ManifestTest,
    Present,
    request_of,
)
from clnrm_nb.config.keys import Cache


def key(test_id="t/a.clnrm.toml", version=0):
    return Key({"scenario": {"test": test_id, "version": version}}, expectations={"spans": version})


def deposit(test_id="t/a.clnrm.toml", version=0, *, record=b"", spans=b"", **more):
    """A passed run of a test whose inputs are told by a number."""
    inputs = key(test_id, version)
    entry = Entry(
        test_id, inputs.hash, inputs.verdict, run=f"run-{version}", duration_ms=10.0, backend="docker", **more
    )
    name = f"{test_id} {version}".encode()
    return Deposit(entry, inputs, record or b"record of " + name, spans or b"spans of " + name)


def open_store(state, *, now=lambda: datetime.now(UTC), **settings):
    return CacheStore(state, Cache(**settings), now=now)


def hours():
    """A clock on which an hour passes from one look to the next."""
    begin, looks = datetime(2026, 1, 1, tzinfo=UTC), count()
    return lambda: begin + timedelta(hours=next(looks))


def stored(store, *deposits):
    """The entries as they are found after being put."""
    assert store.put(deposits)
    found = store.find([each.entry.key for each in deposits])
    return [found[each.entry.key] for each in deposits]


def sealed(value):
    return "hmac:" + hashlib.sha256(value.encode()).hexdigest()


def present(root, environ=None, **more):
    return Present(root, environ or {}, sealed, settings="of now", **more)


def manifest(root, file="a.clnrm.toml", *others, environ=None, **inputs):
    """The manifest of files as they are now; each is one test."""
    files = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in (file, *others)}
    tests = [ManifestTest(file, "a", "ba5e", images=("alpine:3",), tags=("smoke",), matrix={"db": "pg"})]
    made = Manifest.of(
        request_of(file, ""),
        file,
        Inputs(files, **inputs),
        tests,
        present(root, environ),
        diagnostics=[{"code": "CLN120"}],
    )
    assert made is not None
    return made


def age(*paths, seconds=10.0):
    """As if nothing here had been touched for a while, as far as one can say so: not the time of change."""
    past = time.time() - seconds
    for path in paths:
        os.utime(path, (past, past))
