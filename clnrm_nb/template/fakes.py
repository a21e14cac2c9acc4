"""``fake_*``: invented people, places, addresses and files, the same for the same seed.

A kind is a function from a :class:`~clnrm_nb.template.seeded.Source` to a value; the tables below say which
take a range or a size. Mail, IPv6 and telephone numbers come from what is reserved for documentation and
fiction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.identifiers import uuid_v4
from clnrm_nb.template.seeded import Source, bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.runtime import Rendering
    from clnrm_nb.template.signature import Registry

__all__ = ["KINDS", "register"]

_FAKE_EPOCH: Final = 1_735_689_600
"""2025-01-01T00:00:00Z; invented dates lie in the five years before it."""
_FIVE_YEARS: Final = 5 * 365 * 86_400


def _interval(name: str, low: int, high: int) -> None:
    if low > high:
        raise Fault("CLN104", f"`{name}`: `min` {low} is greater than `max` {high}")


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
    "uuid": uuid_v4,
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


def _draw(kind: str, source: Source) -> Any:
    """One value of a kind, with its defaults."""
    if kind in _RANGED:
        body, low, high = _RANGED[kind]
        return body(source, low, high)
    if kind in _SIZED:
        sized, _, size = _SIZED[kind]
        return sized(source, size)
    return _SIMPLE.get(kind, uuid_v4)(source)


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
    return [_draw(kind, source) for _ in range(bounded("fake", count))]


def register(registry: Registry) -> None:
    """Add ``fake``, ``fake_kinds`` and the ``fake_*`` functions to a registry."""
    define = registry.define

    def simple(kind: str, body: Callable[[Source], Any]) -> None:
        def call(run: Rendering, seed: Any) -> Any:
            return body(Source(run, seed, f"fake_{kind}", {}))

        define("function", f"fake_{kind}", "seed:seed", needs_run=True)(call)

    def ranged(kind: str, body: Callable[[Source, int, int], Any], low: int, high: int) -> None:
        def call(run: Rendering, low: int, high: int, seed: Any) -> Any:
            _interval(f"fake_{kind}", low, high)
            if kind != "int_range":
                bounded(f"fake_{kind}", high)
            source = Source(run, seed, f"fake_{kind}", {"min": low, "max": high})
            value = body(source, low, high)
            return run.produce(value) if isinstance(value, str) else value

        kinds = "int" if kind == "int_range" else "uint"
        parameters = (f"min:{kinds}={low}", f"max:{kinds}={high}", "seed:seed")
        define("function", f"fake_{kind}", *parameters, needs_run=True)(call)

    def sized(kind: str, body: Callable[[Source, int], Any], parameter: str, default: int) -> None:
        def call(run: Rendering, size: int, seed: Any) -> Any:
            source = Source(run, seed, f"fake_{kind}", {parameter: size})
            value = body(source, bounded(f"fake_{kind}", size))
            return run.produce(value) if isinstance(value, str) else value

        define("function", f"fake_{kind}", f"{parameter}:uint={default}", "seed:seed", needs_run=True)(call)

    for kind, body in _SIMPLE.items():
        simple(kind, body)
    for kind, (ranged_body, low, high) in _RANGED.items():
        ranged(kind, ranged_body, low, high)
    for kind, (sized_body, parameter, default) in _SIZED.items():
        sized(kind, sized_body, parameter, default)
    define("function", "fake_uuid_seeded", "seed:seed*", needs_run=True)(
        lambda run, seed: uuid_v4(Source(run, seed, "fake_uuid_seeded", {}))
    )
    define("function", "fake", "kind:str*", "seed:seed", "n:uint=1", needs_run=True)(_fake)
    define("function", "fake_kinds")(lambda: list(KINDS))
