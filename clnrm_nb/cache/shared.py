"""``[cache.shared]``: results that other machines have, and have signed (``format.md`` 9).

Laid out as Bazel's HTTP cache is: ``ac/<64 hex>`` says what came of some inputs, ``cas/<64 hex>`` holds the
bytes it names. An entry counts only if it is signed with the key that both sides were given, is about the
very test, inputs and expectations that were asked for, and its contents have their digests. Everything else
is as if nothing were there, with one warning: a shared cache can be slow, broken or hostile, and never wrong.

Once it has failed, or kept us waiting for nothing, it is left alone for the rest of the run and for a minute:
a server that is down costs its time-out once, also where a watcher runs tests at every save.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import platform
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from clnrm_nb.cache.entry import Deposit, Entry
from clnrm_nb.cache.key import KEY_VERSION
from clnrm_nb.cache.localkey import IN_CLEAR
from clnrm_nb.cache.places import DirectoryPlace, HttpPlace
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.cache.key import Key
    from clnrm_nb.cache.places import Place
    from clnrm_nb.config.keys import SharedCache as SharedSettings

__all__ = ["MOST_CONTENT_BYTES", "MOST_ENTRY_BYTES", "SharedCache", "why_not_shared"]

MOST_ENTRY_BYTES: Final = 256 * 1024
MOST_CONTENT_BYTES: Final = 64 * 1024**2
"""Of one entry, and of one thing it names."""

_FORMAT: Final = "clnrm-shared/1"
_SEAL: Final = '"hmac:'
_AT_ONCE: Final = 8
_MOST_WAITED_S: Final = 40.0
"""Of requests that gave us nothing, summed over all that run at once."""
_REST_S: Final = 60.0
_resting: dict[str, float] = {}
"""Places that were in trouble, and until when they are left alone (monotonic seconds)."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_LOCAL: Final = frozenset(
    {"test_id", "hash", "verdict", "record", "spans", "stamps", "updated", "last_used", "size"}
)
"""Fields of an entry that the subject has, or that a store fills in."""
_NEEDED: Final = frozenset({"run", "duration_ms", "backend"})
_FACTS: Final = tuple(each.name for each in fields(Entry) if each.name not in _LOCAL)


class SharedCache:
    """A shared cache as one run uses it. Safe for threads; never raises for what the other side does.

    Parameters
    ----------
    place : Place
    key : str
        What entries are signed with; everybody who may write knows it.
    read, write : bool
    warn : callable
        Takes one sentence, at most one for each kind of trouble (CLN804).
    writer : str, optional
        Who signs (default: user and machine).
    """

    def __init__(
        self,
        place: Place,
        key: str,
        *,
        warn: Callable[[str], None],
        read: bool = True,
        write: bool = False,
        writer: str | None = None,
    ) -> None:
        self._place = place
        self._key = key.encode()
        self._warn = warn
        self._reads, self._writes = read, write
        self._writer = writer if writer is not None else _identity()
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._is_off = False
        self._waited_s = 0.0
        self._name = ""

    @classmethod
    def of(cls, settings: SharedSettings, root: Path, warn: Callable[[str], None]) -> Self | None:
        """As configured; ``None`` where no shared cache is, or none that could be trusted.

        Parameters
        ----------
        settings : SharedCache
            ``[cache.shared]``.
        root : Path
            What a relative ``dir`` starts from.
        """
        if not (settings.url or settings.dir) or not (settings.read or settings.write):
            return None
        if not settings.key:
            warn(
                "the shared cache is not used: there is no key to sign and to check with; "
                "set CLNRM_NB_CACHE_SHARED_KEY"
            )
            return None
        place = (
            HttpPlace(settings.url)
            if settings.url
            else DirectoryPlace(root / Path(settings.dir).expanduser())
        )
        shared = cls(place, settings.key, warn=warn, read=settings.read, write=settings.write)
        shared._name = settings.url or settings.dir
        if time.monotonic() < _resting.get(shared._name, 0.0):
            warn("the shared cache was in trouble a moment ago: it is left alone for a minute")
            return None
        return shared

    # ------------------------------------------------------------------------------------------- use

    def fetch(self, test_id: str, key: Key) -> Deposit | None:
        """What others know of a test with these inputs and expectations; ``None``: nothing that is sure.

        Its entry names the writer in ``more["shared_by"]``, and is good for :meth:`CacheStore.put`.
        """
        if not self._reads or self._is_off or why_not_shared(key):
            return None
        begun_s = time.monotonic()
        try:
            found = self._fetched(test_id, key)
        except OSError as error:
            self._give_up(error)
            return None
        if found is None:
            self._wait(time.monotonic() - begun_s)
        return found

    def fetch_all(self, wanted: Mapping[str, Key]) -> dict[str, Deposit]:
        """The same for many tests by id, several at a time; those of which nothing is sure are left out."""
        if not self._reads or self._is_off or not wanted:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(wanted)), "clnrm-shared-cache") as pool:
            found = pool.map(self.fetch, wanted.keys(), wanted.values())
            return {test_id: one for test_id, one in zip(wanted, found, strict=True) if one is not None}

    def offer(self, deposit: Deposit, spans: bytes | None = None) -> bool:
        """Give a result to others; whether they can find it now.

        Parameters
        ----------
        spans : bytes, optional
            Where the deposit only names them.
        """
        deposit = replace(deposit, spans=deposit.spans if spans is None else spans)
        entry, key = deposit.entry, deposit.key
        is_ours = entry.hash == key.hash and entry.verdict == key.verdict
        if not self._writes or self._is_off or not is_ours or why_not_shared(key):
            return False
        if entry.spans is not None and deposit.spans is None:
            return False
        begun_s = time.monotonic()
        try:
            is_offered = self._offered(deposit)
        except OSError as error:
            self._give_up(error)
            return False
        self._wait(time.monotonic() - begun_s)
        return is_offered

    def offer_all(self, deposits: Sequence[Deposit], spans: Callable[[Deposit], bytes | None]) -> None:
        """The same for many, several at a time.

        Parameters
        ----------
        spans : callable
            The spans of a deposit that only names them.
        """
        if not self._writes or self._is_off or not deposits:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(deposits)), "clnrm-shared-cache") as pool:
            list(pool.map(lambda one: self.offer(one, spans(one)), deposits))

    # --------------------------------------------------------------------------------------- reading

    def _fetched(self, test_id: str, key: Key) -> Deposit | None:
        name = _entry_name(test_id, key)
        raw = self._place.read(name, MOST_ENTRY_BYTES)
        if raw is None:
            return None
        body = self._trusted(raw, _subject(test_id, key))
        if body is None:
            self._doubt(f"`{name}` of the shared cache is not signed with our key, or not what was signed")
            return None
        contents: dict[str, bytes] = {}
        for label, digest in body["contents"].items():
            content = self._place.read(f"cas/{digest}", MOST_CONTENT_BYTES)
            if content is None:
                # Servers throw away what is old, each thing by itself.
                return None
            if hashlib.sha256(content).hexdigest() != digest:
                self._doubt(f"`cas/{digest}` of the shared cache does not have its digest")
                return None
            contents[label] = content
        known = {name: value for name, value in body["facts"].items() if name in _FACTS}
        more = {**known.pop("more", {}), "shared_by": body["writer"]}
        entry = Entry(test_id=test_id, hash=key.hash, verdict=key.verdict, more=more, **known)
        return Deposit(entry, key, contents["record"], contents.get("spans"))

    def _trusted(self, raw: bytes, subject: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The signed part of an entry, if it is signed and about what was asked for."""
        try:
            document = json.loads(raw, parse_constant=_refuse)
            body, signature = document["body"], document["signature"]
            expected = self._signature(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(signature, str) or not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        is_about_it = all(body.get(name) == value for name, value in subject.items())
        return body if is_about_it and _is_complete(body) else None

    # --------------------------------------------------------------------------------------- writing

    def _offered(self, deposit: Deposit) -> bool:
        contents = {"record": deposit.record}
        if deposit.spans is not None:
            contents["spans"] = deposit.spans
        digests = {label: hashlib.sha256(content).hexdigest() for label, content in contents.items()}
        entry = deposit.entry
        body = {
            **_subject(entry.test_id, deposit.key),
            "writer": self._writer,
            "clnrm_nb": __version__,
            "facts": {name: getattr(entry, name) for name in _FACTS},
            "contents": digests,
        }
        raw = canonical_json({"body": body, "signature": self._signature(body)}).encode()
        is_too_large = any(len(content) > MOST_CONTENT_BYTES for content in contents.values())
        if is_too_large or len(raw) > MOST_ENTRY_BYTES:
            return False
        # Contents first: whoever finds the entry finds all it names.
        for label, digest in digests.items():
            if not self._place.has(f"cas/{digest}"):
                self._place.write(f"cas/{digest}", contents[label])
        self._place.write(_entry_name(entry.test_id, deposit.key), raw)
        return True

    def _signature(self, body: Any) -> str:
        text = canonical_json(body).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    # --------------------------------------------------------------------------------------- trouble

    def _wait(self, seconds: float) -> None:
        """Note time that gave us nothing; too much of it is trouble, too."""
        with self._lock:
            self._waited_s += seconds
            is_slow = self._waited_s > _MOST_WAITED_S
        if is_slow:
            self._give_up(TimeoutError("it is too slow"))

    def _give_up(self, error: OSError) -> None:
        self._is_off = True
        if self._name:
            _resting[self._name] = time.monotonic() + _REST_S
        reason = error.strerror or str(error) or type(error).__name__
        self._say("away", f"the shared cache is not used any more in this run: {reason.lower()}")

    def _doubt(self, sentence: str) -> None:
        self._say("doubt", f"{sentence}; such entries are not used")

    def _say(self, topic: str, sentence: str) -> None:
        with self._lock:
            if topic in self._warned:
                return
            self._warned.add(topic)
        self._warn(sentence)


def why_not_shared(key: Key) -> str | None:
    """Why a result is no business of other machines; ``None``: it may be shared.

    What a machine's environment went into says something about that machine, and its seals mean nothing
    elsewhere.
    """
    environment = key.parts.get("environment", {})
    names = [name for name, value in environment.items() if value is not None and name not in IN_CLEAR]
    if names:
        return f"not shared: it reads {', '.join(f'`{name}`' for name in sorted(names))} of the environment"
    if _SEAL in canonical_json([dict(key.parts), key.expectations]):
        return "not shared: it holds a secret"
    return None


def _is_complete(body: Mapping[str, Any]) -> bool:
    """Whether a signed entry is of the form that this version knows."""
    contents, facts = body.get("contents"), body.get("facts")
    return (
        isinstance(contents, dict)
        and "record" in contents
        and all(isinstance(digest, str) and _DIGEST.match(digest) for digest in contents.values())
        and isinstance(facts, dict)
        and facts.keys() >= _NEEDED
        and isinstance(facts.get("more", {}), dict)
        and isinstance(body.get("writer"), str)
    )


def _subject(test_id: str, key: Key) -> dict[str, Any]:
    """What an entry is about; spans carry the id of their test, so it is part of that.

    The project's rules are not: no expectation goes by them, and a rule more must not have all tests run.
    """
    return {
        "format": _FORMAT,
        "key_version": KEY_VERSION,
        "test": test_id,
        "hash": key.hash,
        "verdict": key.judged,
    }


def _entry_name(test_id: str, key: Key) -> str:
    return f"ac/{hashlib.sha256(canonical_json(_subject(test_id, key)).encode()).hexdigest()}"


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _identity() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A user without a name, as in many containers.
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
