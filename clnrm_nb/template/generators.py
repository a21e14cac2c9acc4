"""Generated values: identifiers, choices and ``fake_*``, the same for the same seed on every machine.

One rule makes them all (``format.md`` 2.8): value k of a call is the SHA-256 of the seed, the function,
its other arguments as canonical JSON, and k. A :class:`Source` deals these values out; nothing here
keeps state.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.filters_data import MAX_ITEMS
from clnrm_nb.template.values import is_number, json_text
from clnrm_nb.template.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.runtime import Rendering
    from clnrm_nb.template.signature import Registry

__all__ = ["Source", "register"]

_TURNS_A_VALUE: Final = 3
"""A value takes as long to make as some turns of a loop, and counts as much (2026-11, CPython 3.11)."""
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FAKE_EPOCH: Final = 1_735_689_600
"""2025-01-01T00:00:00Z; invented dates lie in the five years before it."""
_FIVE_YEARS: Final = 5 * 365 * 86_400


class Source:
    """The values of one call, dealt out in order.

    Parameters
    ----------
    run : Rendering
        Counts each value like the turn of a loop.
    seed : int or str, optional
        As given to the call; None takes the next one of the rendering.
    function : str
        The name as called.
    arguments : dict
        All its other arguments, defaults filled in.
    """

    __slots__ = ("_count", "_hash", "_run")

    def __init__(self, run: Rendering, seed: Any, function: str, arguments: dict[str, Any]) -> None:
        own = run.seed_for_call() if seed is None else int(seed)
        self._run = run
        prefix = f"clnrm1|{own}|{function}|{json_text(arguments)}|"
        # The prefix is hashed once: it may hold a long array, which each value of `shuffle` would hash again.
        self._hash = hashlib.sha256(prefix.encode("utf-8", "surrogatepass"))
        self._count = 0

    def bytes(self) -> bytes:
        """The next 32 bytes."""
        self._run.turns += _TURNS_A_VALUE
        self._run.take_turn()
        value = self._hash.copy()
        value.update(str(self._count).encode())
        self._count += 1
        return value.digest()

    def integer(self, low: int, high: int) -> int:
        """An int from `low` up to, not including, `high`; `low` if both are equal."""
        if low == high:
            return low
        return low + int.from_bytes(self.bytes()[:8], "big") % (high - low)

    def choice(self, items: Any) -> Any:
        """One of several."""
        return items[self.integer(0, len(items))]

    def word(self, kind: str) -> str:
        """One word of a list."""
        return str(self.choice(words(kind)))

    def hex(self, digits: int) -> str:
        """Hex digits: the leading ones of as many values as it takes."""
        parts: list[str] = []
        while len(parts) * 64 < digits:
            parts.append(self.bytes().hex())
        return "".join(parts)[:digits]


def _interval(name: str, low: int, high: int) -> None:
    if low > high:
        raise Fault("CLN104", f"`{name}`: `min` {low} is greater than `max` {high}")


# -- identifiers


def _versioned(raw: bytes, version: int) -> str:
    bits = int.from_bytes(raw, "big")
    bits = bits & ~(0xF << 76) | version << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=bits))


def _uuid_v4(source: Source) -> str:
    return _versioned(source.bytes()[:16], 4)


def _milliseconds(run: Rendering, time: int | None) -> int:
    value = run.now_ns() // 1_000_000 if time is None else time
    if not 0 <= value < 2**48:
        raise Fault("CLN104", f"`time` must be milliseconds below 2^48, got {value}")
    return value


def _uuid_v7(source: Source, milliseconds: int) -> str:
    return _versioned(milliseconds.to_bytes(6, "big") + source.bytes()[:10], 7)


def _ulid(source: Source, milliseconds: int) -> str:
    bits = milliseconds << 80 | int.from_bytes(source.bytes()[:10], "big")
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


_NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def _uuid_v5(namespace: str, name: str) -> str:
    known = _NAMESPACES.get(namespace.lower())
    if known is None:
        try:
            known = uuid.UUID(namespace)
        except ValueError:
            message = f"`uuid_v5` needs a UUID or dns, url, oid, x500 for `ns`, got `{namespace}`"
            raise Fault("CLN104", message) from None
    # Not `uuid.uuid5`, which cannot take a lone surrogate.
    digest = hashlib.sha1(known.bytes + name.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _nonzero_hex(source: Source, digits: int) -> str:
    while not (text := source.hex(digits)).strip("0"):
        continue
    return text


# -- choices


def _nonempty(name: str, items: list[Any]) -> list[Any]:
    if not items:
        raise Fault("CLN105", f"`{name}` has nothing to choose from")
    return items


def _weighted(source: Source, pairs: list[Any]) -> Any:
    weights: list[float] = []
    for pair in _nonempty("weighted", pairs):
        is_pair = isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004
        if not is_pair or not is_number(pair[1]) or not pair[1] >= 0:
            raise Fault("CLN104", "`weighted` needs pairs of a value and a weight of 0 or more")
        weights.append(pair[1])
    total = sum(weights)
    if not total or total == float("inf"):
        raise Fault("CLN105", "`weighted` needs a weight above 0")
    point = source.integer(0, 2**53) / 2**53 * total
    for pair, weight in zip(pairs, weights, strict=True):
        point -= weight
        if point < 0:
            return pair[0]
    return next(pair[0] for pair, weight in zip(reversed(pairs), reversed(weights), strict=True) if weight)


def _shuffled(source: Source, items: list[Any]) -> list[Any]:
    result = list(items)
    for index in range(len(result) - 1, 0, -1):
        other = source.integer(0, index + 1)
        result[index], result[other] = result[other], result[index]
    return result


def _sample(source: Source, items: list[Any], count: int) -> list[Any]:
    if count > len(items):
        raise Fault("CLN105", f"`sample`: {count} elements of an array of {len(items)}")
    return _shuffled(source, items)[:count]


# -- fakes


def _name(source: Source) -> str:
    return f"{source.word('first_name')} {source.word('last_name')}"


def _username(source: Source) -> str:
    return f"{source.word('first_name').lower()}{source.integer(10, 1000)}"


def _email(source: Source) -> str:
    first, last = source.word("first_name").lower(), source.word("last_name").lower()
    return f"{first}.{last}@example.{source.choice(('com', 'org', 'net'))}"


def _domain(source: Source) -> str:
    return f"{source.word('domain_word')}-{source.word('word')}.{source.word('domain_suffix')}"


def _digits(source: Source, pattern: str) -> str:
    """`#` becomes a digit, `%` one that is not 0."""
    return "".join(
        str(source.integer(0, 10)) if c == "#" else str(source.integer(1, 10)) if c == "%" else c
        for c in pattern
    )


def _ipv6(source: Source) -> str:
    digits = source.hex(24)
    # 2001:db8::/32 is reserved for documentation.
    return ":".join(["2001", "db8", *(digits[i : i + 4].lstrip("0") or "0" for i in range(0, 24, 4))])


def _mac_address(source: Source) -> str:
    raw = bytearray(source.bytes()[:6])
    raw[0] = raw[0] & 0xFC | 0x02  # locally administered, unicast
    return ":".join(f"{byte:02x}" for byte in raw)


def _decimal(source: Source, bound: int) -> str:
    return f"{source.integer(-bound * 1_000_000, bound * 1_000_000) / 1_000_000:.6f}"


def _credit_card(source: Source) -> str:
    digits = [4, *(source.integer(0, 10) for _ in range(14))]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[::2])  # noqa: PLR2004 - Luhn
    total = sum(doubled) + sum(digits[1::2])
    return "".join(map(str, digits)) + str(-total % 10)


def _currency(source: Source, part: int) -> str:
    return source.word("currency").split("|")[part]


def _sentence(source: Source, low: int, high: int) -> str:
    words = [source.word("word") for _ in range(source.integer(low, high))]
    return f"{' '.join(words).capitalize()}." if words else ""


def _paragraph(source: Source, low: int, high: int) -> str:
    return " ".join(_sentence(source, 4, 10) for _ in range(source.integer(low, high)))


def _filename(source: Source) -> str:
    return f"{source.word('word')}_{source.word('word')}.{source.word('extension')}"


def _moment(source: Source) -> datetime:
    return datetime.fromtimestamp(source.integer(_FAKE_EPOCH - _FIVE_YEARS, _FAKE_EPOCH), UTC)


def _password(source: Source, low: int, high: int) -> str:
    alphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.!"
    return "".join(source.choice(alphabet) for _ in range(source.integer(low, high)))


def _letters(source: Source, length: int) -> str:
    return "".join(source.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))


_SIMPLE: Final[dict[str, Callable[[Source], Any]]] = {
    "uuid": _uuid_v4,
    "name": _name,
    "first_name": lambda s: s.word("first_name"),
    "last_name": lambda s: s.word("last_name"),
    "title": lambda s: s.word("title"),
    "suffix": lambda s: s.word("suffix"),
    "email": _email,
    "username": _username,
    "domain": _domain,
    "url": lambda s: f"https://{_domain(s)}/{s.word('word')}",
    "ipv4": lambda s: ".".join(str(s.integer(1, 255)) for _ in range(4)),
    "ipv6": _ipv6,
    "user_agent": lambda s: s.word("user_agent"),
    "mac_address": _mac_address,
    "address": lambda s: f"{s.integer(1, 1000)} {s.word('street')}, {s.word('city')}",
    "street": lambda s: s.word("street"),
    "city": lambda s: s.word("city"),
    "state": lambda s: s.word("state"),
    "zip": lambda s: _digits(s, "#####"),
    "country": lambda s: s.word("country"),
    "latitude": lambda s: _decimal(s, 90),
    "longitude": lambda s: _decimal(s, 180),
    # 555-01xx is reserved for fiction.
    "phone": lambda s: f"+1-{_digits(s, '%##')}-555-01{_digits(s, '##')}",
    "cell_phone": lambda s: f"+1 {_digits(s, '%##')} 555 01{_digits(s, '##')}",
    "company": lambda s: f"{s.word('last_name')} {s.word('company_suffix')}",
    "company_suffix": lambda s: s.word("company_suffix"),
    "industry": lambda s: s.word("industry"),
    "profession": lambda s: s.word("profession"),
    "word": lambda s: s.word("word"),
    "int": lambda s: s.integer(0, 1000),
    "port": lambda s: s.integer(1024, 65535),
    "timestamp": lambda s: s.integer(_FAKE_EPOCH - _FIVE_YEARS, _FAKE_EPOCH),
    "float": lambda s: s.integer(0, 2**53) / 2**53 * 1000,
    "date": lambda s: _moment(s).strftime("%Y-%m-%d"),
    "time": lambda s: _moment(s).strftime("%H:%M:%S"),
    "datetime": lambda s: _moment(s).isoformat(),
    "credit_card": _credit_card,
    "currency_code": lambda s: _currency(s, 0),
    "currency_name": lambda s: _currency(s, 1),
    "currency_symbol": lambda s: _currency(s, 2),
    "filename": _filename,
    "extension": lambda s: s.word("extension"),
    "mime_type": lambda s: s.word("mime_type"),
    "file_path": lambda s: f"/{s.word('folder')}/{s.word('word')}/{_filename(s)}",
    "color": lambda s: s.word("color"),
    "hex_color": lambda s: f"#{s.hex(6)}",
    "rgb_color": lambda s: f"rgb({s.integer(0, 256)}, {s.integer(0, 256)}, {s.integer(0, 256)})",
    "semver": lambda s: f"{s.integer(0, 10)}.{s.integer(0, 20)}.{s.integer(0, 50)}",
}

_RANGED: Final[dict[str, tuple[Callable[[Source, int, int], Any], int, int]]] = {
    "password": (_password, 8, 20),
    "sentence": (_sentence, 4, 10),
    "paragraph": (_paragraph, 3, 7),
    "int_range": (lambda s, low, high: s.integer(low, high), 0, 100),
}

_SIZED: Final[dict[str, tuple[Callable[[Source, int], Any], str, int]]] = {
    "words": (lambda s, count: " ".join(s.word("word") for _ in range(count)), "count", 3),
    "string": (_letters, "len", 10),
    "bool": (lambda s, ratio: s.integer(0, 100) < ratio, "ratio", 50),
}

KINDS: Final = sorted([*_SIMPLE, *_RANGED, *_SIZED, "uuid_seeded"])


def _bounded(name: str, size: int) -> int:
    if size > MAX_ITEMS:
        raise Fault("CLN108", f"`{name}` makes at most {MAX_ITEMS} at once, asked for {size}")
    return size


def _draw(kind: str, source: Source) -> Any:
    """One value of a kind, with its defaults."""
    if kind in _RANGED:
        body, low, high = _RANGED[kind]
        return body(source, low, high)
    if kind in _SIZED:
        sized, _, size = _SIZED[kind]
        return sized(source, size)
    return _SIMPLE.get(kind, _uuid_v4)(source)


def _arguments(kind: str) -> dict[str, Any]:
    if kind in _RANGED:
        return {"min": _RANGED[kind][1], "max": _RANGED[kind][2]}
    return {_SIZED[kind][1]: _SIZED[kind][2]} if kind in _SIZED else {}


def _fake(run: Rendering, kind: str, seed: Any, count: int) -> Any:
    kind = kind.removeprefix("fake_")
    if kind not in KINDS:
        raise Fault("CLN104", f"`fake` knows no kind `{kind}`{did_you_mean(kind, KINDS)}")
    source = Source(run, seed, f"fake_{kind}", _arguments(kind))
    if count <= 1:
        return _draw(kind, source)
    return [_draw(kind, source) for _ in range(_bounded("fake", count))]


def _register_fakes(registry: Registry) -> None:
    define = registry.define

    def simple(kind: str, body: Callable[[Source], Any]) -> None:
        def call(run: Rendering, seed: Any) -> Any:
            return body(Source(run, seed, f"fake_{kind}", {}))

        define("function", f"fake_{kind}", "seed:seed", needs_run=True)(call)

    def ranged(kind: str, body: Callable[[Source, int, int], Any], low: int, high: int) -> None:
        def call(run: Rendering, low: int, high: int, seed: Any) -> Any:
            _interval(f"fake_{kind}", low, high)
            if kind != "int_range":
                _bounded(f"fake_{kind}", high)
            source = Source(run, seed, f"fake_{kind}", {"min": low, "max": high})
            value = body(source, low, high)
            return run.produce(value) if isinstance(value, str) else value

        kinds = "int" if kind == "int_range" else "uint"
        parameters = (f"min:{kinds}={low}", f"max:{kinds}={high}", "seed:seed")
        define("function", f"fake_{kind}", *parameters, needs_run=True)(call)

    def sized(kind: str, body: Callable[[Source, int], Any], parameter: str, default: int) -> None:
        def call(run: Rendering, size: int, seed: Any) -> Any:
            source = Source(run, seed, f"fake_{kind}", {parameter: size})
            value = body(source, _bounded(f"fake_{kind}", size))
            return run.produce(value) if isinstance(value, str) else value

        define("function", f"fake_{kind}", f"{parameter}:uint={default}", "seed:seed", needs_run=True)(call)

    for kind, body in _SIMPLE.items():
        simple(kind, body)
    for kind, (ranged_body, low, high) in _RANGED.items():
        ranged(kind, ranged_body, low, high)
    for kind, (sized_body, parameter, default) in _SIZED.items():
        sized(kind, sized_body, parameter, default)
    define("function", "fake_uuid_seeded", "seed:seed*", needs_run=True)(
        lambda run, seed: _uuid_v4(Source(run, seed, "fake_uuid_seeded", {}))
    )
    define("function", "fake", "kind:str*", "seed:seed", "n:uint=1", needs_run=True)(_fake)
    define("function", "fake_kinds")(lambda: list(KINDS))


def register(registry: Registry) -> None:
    """Add all generator functions to a registry."""

    def seeded(name: str, body: Callable[..., Any], *parameters: str) -> None:
        """Define a function whose body takes a source and its own arguments; `seed` comes behind them."""
        names = [text.partition(":")[0].partition("|")[0] for text in parameters]

        def call(run: Rendering, *values: Any) -> Any:
            *own, seed = values
            return body(Source(run, seed, name, dict(zip(names, own, strict=True))), *own)

        registry.define("function", name, *parameters, "seed:seed", needs_run=True)(call)

    def timed(name: str, body: Callable[[Source, int], str]) -> None:
        def call(run: Rendering, seed: Any, time: int | None) -> str:
            milliseconds = _milliseconds(run, time)
            return body(Source(run, seed, name, {"time": milliseconds}), milliseconds)

        registry.define("function", name, "seed:seed", "time:uint", needs_run=True)(call)

    seeded("rand_hex", lambda s, n: s.hex(_bounded("rand_hex", n)), "n:uint=16")
    seeded("uuid_v4", _uuid_v4)
    timed("uuid_v7", _uuid_v7)
    timed("ulid", _ulid)
    registry.define("function", "uuid_v5", "ns:str*", "name:str*")(_uuid_v5)
    seeded("get_random", _get_random, "start:int=0", "end:int*")
    seeded("pick", lambda s, items: s.choice(_nonempty("pick", items)), "list|array:list*")
    seeded("weighted", _weighted, "pairs:list*")
    seeded("shuffle", _shuffled, "list|array:list*")
    registry.define("function", "sample", "list|array:list*", "k|n:uint*", "seed:seed", needs_run=True)(
        lambda run, items, k, seed: _sample(Source(run, seed, "sample", {"k": k, "list": items}), items, k)
    )
    seeded("trace_id", lambda s: _nonzero_hex(s, 32))
    seeded("span_id", lambda s: _nonzero_hex(s, 16))
    parameters = ("trace_id:str", "span_id:str", "sampled:bool=true", "seed:seed")
    registry.define("function", "traceparent", *parameters, needs_run=True)(_traceparent)
    _register_fakes(registry)


def _get_random(source: Source, start: int, end: int) -> int:
    if start >= end:
        raise Fault("CLN105", f"`get_random`: start {start} is not below end {end}")
    return source.integer(start, end)


def _traceparent(run: Rendering, trace_id: str | None, span_id: str | None, sampled: bool, seed: Any) -> str:  # noqa: FBT001
    parts = {"trace_id": (trace_id, 32), "span_id": (span_id, 16)}
    text = []
    source: Source | None = None
    for name, (given, digits) in parts.items():
        if given is None:
            source = source or Source(run, seed, "traceparent", {"sampled": sampled})
            given = _nonzero_hex(source, digits)  # noqa: PLW2901
        is_hex = len(given) == digits and not given.lower().strip("0123456789abcdef") and given.strip("0")
        if not is_hex:
            raise Fault("CLN104", f"`traceparent` needs {digits} hex digits for `{name}`, got `{given}`")
        text.append(given.lower())
    return f"00-{text[0]}-{text[1]}-{'01' if sampled else '00'}"
