"""Functions that are no generators: environment, clock, hashes, ranges, encodings (``format.md`` 2.8)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from clnrm_nb.template.dates import rfc3339
from clnrm_nb.template.faults import Fault
from clnrm_nb.template.filters_text import camel, kebab, pascal, sha256, slug, snake
from clnrm_nb.template.runtime import MAX_TURNS
from clnrm_nb.template.signature import Operation, Parameter
from clnrm_nb.template.values import Missing, kind_of, text_of, toml_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.template.runtime import Rendering
    from clnrm_nb.template.signature import Registry

__all__ = ["register"]

_INT64: Final = 2**63


def _env(run: Rendering, name: str, default: Any) -> Any:
    """Stands for ``env`` in lists and signatures; compiled calls go to the operation that knows `missing`."""
    return _get_env(run, name, default)


def _get_env(run: Rendering, name: str, default: Any) -> Any:
    value = run.read_environment(name)
    if not isinstance(value, Missing):
        return value
    if default is ...:
        raise Fault(
            "CLN106",
            f"environment variable `{name}` is not set and has no default",
            f'set it, or write `get_env(name="{name}", default="…")`',
        )
    return default


class _Range(Operation):
    """``range(end)`` or ``range(start, end)``: the one function whose first position depends on the count."""

    __slots__ = ()

    def bind(self, positional: Sequence[Any], named: Mapping[str, Any], absent: Any) -> list[Any]:
        if len(positional) > 1:
            start, end, *rest = positional
            positional = [end, start, *rest]
        elif positional and "end" in named:
            named = {**named, "start": positional[0]}
            positional = []
        return Operation.bind(self, positional, named, absent)


def _range(run: Rendering, end: int, start: int, step: int) -> list[int]:
    if start > end:
        raise Fault("CLN105", f"`range`: start {start} is greater than end {end}")
    if step < 1:
        raise Fault("CLN104", f"`range` needs a positive `step_by`, got {step}")
    numbers = range(start, end, step)
    run.turns += min(len(numbers), MAX_TURNS)
    run.take_turn()
    return list(numbers)


def _throw(message: str) -> Any:
    raise Fault("CLN105", message)


def _now(run: Rendering, timestamp: bool, utc: bool) -> Any:  # noqa: ARG001, FBT001 - both clocks are UTC
    return _now_unix(run) if timestamp else _now_rfc3339(run)


def _now_rfc3339(run: Rendering) -> str:
    return _shifted(run, 0)


def _now_unix(run: Rendering) -> int:
    return run.now_ns() // 1_000_000_000


def _now_ms(run: Rendering) -> int:
    return run.now_ns() // 1_000_000


def _shifted(run: Rendering, seconds: int) -> str:
    try:
        moment = run.now() + timedelta(seconds=seconds)
    except OverflowError:
        raise Fault("CLN105", f"{seconds} seconds from now is out of range") from None
    whole = moment.replace(microsecond=0)
    nanos = run.now_ns() % 1_000_000_000
    if not nanos:
        return rfc3339(whole)
    # Nanoseconds in groups of three digits, as clocks print them.
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return rfc3339(whole).replace("+00:00", f".{digits}+00:00")


def _seq(run: Rendering, name: str, start: int, step: int) -> int:
    value = run.counters.get(name, start)
    if not -_INT64 <= value < _INT64:
        raise Fault("CLN105", f"`seq`: counter `{name}` does not fit into 64 bits")
    run.counters[name] = value + step
    return value


def _baggage(entries: dict[str, Any]) -> str:
    parts = []
    for key, value in sorted(entries.items()):
        if isinstance(value, (list, dict)):
            raise Fault("CLN104", f"`baggage` holds texts and numbers, got {kind_of(value)} for `{key}`")
        parts.append(f"{quote(key, safe=_KEY_CHARS)}={quote(text_of(value), safe=_VALUE_CHARS)}")
    return ",".join(parts)


# W3C Baggage: tokens for keys, `baggage-octet` for values, without `%`.
_KEY_CHARS: Final = "!#$&'*+-.^_`|~"
_VALUE_CHARS: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"


def register(registry: Registry) -> None:
    """Add these functions to a registry."""
    define = registry.define

    def with_run(name: str, body: Any, *parameters: str) -> None:
        define("function", name, *parameters, needs_run=True)(body)

    with_run("env", _env, "name:str*", "default:any=...")
    with_run("get_env", _get_env, "name:str*", "default:any=...")
    with_run("now", _now, "timestamp:bool=false", "utc:bool=false")
    with_run("now_rfc3339", _now_rfc3339)
    with_run("now_unix", _now_unix)
    with_run("now_ms", _now_ms)
    with_run("now_plus", _shifted, "seconds:int*")
    with_run("date_rfc3339", _shifted, "offset_seconds:int=0")
    with_run("seq", _seq, "name:str*", "start:int=0", "step:int=1")
    define("function", "throw", "message:str*")(_throw)
    define("function", "sha256", "s|input|value:str*")(sha256)
    define("function", "toml_encode", "value|s:any*", needs_run=True)(
        lambda run, value: run.produce(toml_text(value))
    )
    define("function", "baggage", "map:map*")(_baggage)
    for name, body in (
        ("slug", slug),
        ("kebab", kebab),
        ("snake", snake),
        ("camel", camel),
        ("pascal", pascal),
    ):
        define("function", name, "s:str*")(body)
    parameters = tuple(map(Parameter.parse, ("end:int*", "start:int=0", "step_by:int=1")))
    registry.functions["range"] = _Range("function", "range", parameters, _range, needs_run=True)
