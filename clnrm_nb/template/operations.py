"""The operations compiled templates are made of: names, operators, loops, assignment, macros, includes.

Each takes the active file first (Jinja2 passes it as ``context``) and plain values after it. Together
with the functions, filters and tests they are all that a template can do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, Unfindable, did_you_mean
from clnrm_nb.template.runtime import Active, Frame, LoopFrame
from clnrm_nb.template.values import (
    UNDEFINED,
    Missing,
    Undefined,
    equal,
    float_literal,
    float_text,
    is_number,
    kind_of,
    shown,
    text_of,
    truthy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["OPERATIONS"]

OPERATIONS: Final[dict[str, Callable[..., Any]]] = {}
_INT64: Final = 2**63
_SPACES: Final = {"vars": "", "matrix": "matrix.", "otel": "otel.", "params": "params."}


def _operation(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS[name] = body
        return body

    return register


# -- names and paths


@_operation("get")
def _get(active: Active, name: str, *keys: Any) -> Any:
    run = active.run
    if name == "env" and keys and not run.has_object("env"):
        return _need_environment(_environment_member(active, keys))
    value = run.lookup(name)
    if not keys:
        if value is UNDEFINED:
            raise run.undefined(name, name, None, None)
        if name in _SPACES:
            _read_whole(active, name)
        return value
    if value is UNDEFINED:
        raise run.undefined(_path(name, keys), name, None, None)
    if name in _SPACES:
        run.reads.variables.add(f"{_SPACES[name]}{keys[0]}")
    for index, key in enumerate(keys):
        holder, value = value, _step(value, key)
        if value is UNDEFINED:
            _refuse_internal(key)
            raise run.undefined(_path(name, keys[: index + 1]), name, str(key), holder)
    return value


@_operation("get_leniently")
def _get_leniently(active: Active, name: str, *keys: Any) -> Any:
    run = active.run
    if name == "env" and keys and not run.has_object("env"):
        return _environment_member(active, keys)
    value = run.lookup(name)
    if name in _SPACES:
        if keys:
            run.reads.variables.add(f"{_SPACES[name]}{keys[0]}")
        else:
            _read_whole(active, name)
    for key in keys:
        if value is UNDEFINED:
            return value
        value = _step(value, key)
    return value


def _read_whole(active: Active, space: str) -> None:
    """A namespace used as a value: every member of it may have been read."""
    members = active.run.spaces.get(space, {})
    active.run.reads.variables.update(f"{_SPACES[space]}{key}" for key in members)


@_operation("subscript")
def _subscript(active: Active, value: Any, *keys: Any) -> Any:
    for key in keys:
        holder, value = value, _step(value, key)
        if value is UNDEFINED:
            _refuse_internal(key)
            raise active.run.undefined(str(key), str(key), str(key), holder)
    return value


def _step(value: Any, key: Any) -> Any:
    """One part of a value: by key of an object, by index of an array; nothing else has parts."""
    if type(value) is dict:
        return value.get(key if type(key) is str else _key_text(key), UNDEFINED)
    if type(value) is list:
        if type(key) is str and key.isascii() and key.isdigit():
            key = int(key[:18])
        if type(key) is int and 0 <= key < len(value):
            return value[key]
    return UNDEFINED


def _key_text(key: Any) -> str:
    if not is_number(key):
        raise Fault("CLN105", f"only strings and numbers can stand in `[ ]`, got {kind_of(key)}")
    return text_of(key)


def _refuse_internal(key: Any) -> None:
    if type(key) is str and key.startswith("_"):
        raise Fault("CLN103", f"`{key}` is not available: templates reach data only")


def _path(name: str, keys: tuple[Any, ...]) -> str:
    parts = [name]
    for key in keys:
        if type(key) is str and key.replace("_", "a").isalnum() and key.isascii():
            parts.append(f".{key}")
        else:
            parts.append(f"[{shown(key)}]")
    return "".join(parts)


def _environment_member(active: Active, keys: tuple[Any, ...]) -> Any:
    """``env.NAME``."""
    if len(keys) != 1 or type(keys[0]) is not str:
        raise Fault("CLN102", f"`{_path('env', keys)}` is undefined", "write `env.NAME`")
    return active.run.read_environment(keys[0])


def _need_environment(value: Any) -> Any:
    if isinstance(value, Missing):
        raise Fault(
            "CLN106",
            f"environment variable `{value.name}` is not set and has no default",
            f'set it, or write `env(name="{value.name}", default="…")`',
        )
    return value


@_operation("function:env")
def _env(active: Active, name: Any, default: Any) -> Any:
    return _need_environment(_env_or_missing(active, name, default))


@_operation("function:env_or_missing")
def _env_or_missing(active: Active, name: Any, default: Any) -> Any:
    if type(name) is not str:
        raise Fault("CLN104", f"`env` needs a string for `name`, got {kind_of(name)}")
    value = active.run.read_environment(name)
    return default if isinstance(value, Missing) and default is not ... else value


# -- output


@_operation("print")
def _print(active: Active, value: Any) -> str:
    text = value if type(value) is str else text_of(value)
    run = active.run
    if "{" in text and not run.macro_depth and ("{{" in text or "{%" in text):
        run.mark(text)
    return run.produce(text) if len(text) > 1024 else text  # noqa: PLR2004 - see produce


@_operation("captured")
def _captured(active: Active, text: str) -> str:
    return active.run.produce(text)


@_operation("fail")
def _fail(_active: Active, _subject: Any, code: str, message: str, hint: str | None) -> Any:
    raise Fault(code, message, hint)


@_operation("unknown")
def _unknown(active: Active, _subject: Any, role: str, name: str) -> Any:
    known = active.run.registry.of(role)
    raise Fault("CLN103", f"unknown {role} `{name}`{did_you_mean(name, known)}")


# -- truth, comparison, membership


@_operation("truth")
def _truth(_active: Active, value: Any) -> bool:
    return truthy(value)


def _equals(left: Any, right: Any) -> bool:
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return False
    return equal(left, right)


@_operation("eq")
def _eq(_active: Active, left: Any, right: Any) -> bool:
    return _equals(left, right)


@_operation("ne")
def _ne(_active: Active, left: Any, right: Any) -> bool:
    # Tera does not compare a number with what is none: `1 != "a"` is as false as `1 == "a"`.
    if (
        is_number(left) != is_number(right)
        and not isinstance(left, Missing)
        and not isinstance(right, Missing)
    ):
        return False
    return not _equals(left, right)


_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@_operation("order")
def _order(_active: Active, left: Any, symbol: str, right: Any) -> bool:
    for value in (left, right):
        if not is_number(value):
            hint = "compare numbers; `| int` makes one of a string" if type(value) is str else None
            raise Fault("CLN105", f"`{symbol}` compares numbers, got {kind_of(value)}", hint)
        if value != value:  # noqa: PLR0124 - NaN
            raise Fault("CLN105", f"`{symbol}` cannot compare NaN")
    return _ORDERS[symbol](left, right)


_COMPARED: Final = 64
"""What comparing an element costs, in characters copied (:meth:`Rendering.spend`)."""


@_operation("in")
def _in(active: Active, left: Any, right: Any) -> bool:
    if type(right) is list:
        active.run.spend(len(right) * _COMPARED)
        return any(equal(left, item) for item in right)
    if type(right) in (str, dict):
        if type(left) is not str:
            raise Fault("CLN105", f"`in` looks for a string in {kind_of(right)}, got {kind_of(left)}")
        return left in right
    raise Fault("CLN105", f"`in` needs a string, an array or an object on its right, got {kind_of(right)}")


@_operation("not_in")
def _not_in(active: Active, left: Any, right: Any) -> bool:
    return not _in(active, left, right)


# -- arithmetic

_WORDS: Final = {
    "+": ("add", "and"),
    "-": ("subtract", "and"),
    "*": ("multiply", "and"),
    "/": ("divide", "by"),
    "//": ("divide", "by"),
    "%": ("divide", "by"),
    "**": ("raise", "to"),
}


@_operation("arithmetic")
def _arithmetic(_active: Active, first: Any, symbols: str, *others: Any) -> Any:
    value = first
    for symbol, operand in zip(symbols.split(" "), others, strict=True):
        if not (is_number(value) and is_number(operand)):
            raise _not_numbers(symbol, value, operand)
        value = _checked(_CALCULATE[symbol](value, operand), symbol)
    return value


def _not_numbers(symbol: str, left: Any, right: Any) -> Fault:
    verb, joint = _WORDS[symbol]
    hint = "join texts with `~`" if symbol == "+" and str in (type(left), type(right)) else None
    return Fault("CLN105", f"cannot {verb} {kind_of(left)} {joint} {kind_of(right)}", hint)


def _checked(value: Any, symbol: str) -> Any:
    if type(value) is int:
        if not -_INT64 <= value < _INT64:
            raise Fault("CLN105", f"the result of `{symbol}` does not fit into 64 bits")
        return value
    return value if math.isfinite(value) else math.nan


def _divide(left: Any, right: Any) -> float:
    return left / right if right else math.nan


def _floor_divide(left: Any, right: Any) -> Any:
    if not right:
        raise Fault("CLN105", "cannot divide by zero with `//`")
    return left // right


def _modulo(left: Any, right: Any) -> Any:
    if not right:
        raise Fault("CLN105", "cannot take a number modulo zero")
    if type(left) is int and type(right) is int:
        remainder = abs(left) % abs(right)
        return -remainder if left < 0 else remainder
    return math.fmod(left, right) if math.isfinite(left) else math.nan


def _power(left: Any, right: Any) -> Any:
    try:
        if type(left) is int and type(right) is int and right >= 0:
            # Anything but -1, 0 and 1 to a power beyond 63 is out of range; do not compute it first.
            return left**right if right < 64 or abs(left) <= 1 else _INT64  # noqa: PLR2004
        result = float(left) ** float(right)
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return math.nan if isinstance(result, complex) else result


def _plus(left: Any, right: Any) -> Any:
    return left + right


def _minus(left: Any, right: Any) -> Any:
    return left - right


def _times(left: Any, right: Any) -> Any:
    return left * right


_CALCULATE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _divide,
    "//": _floor_divide,
    "%": _modulo,
    "**": _power,
}


@_operation("negate")
def _negate(_active: Active, value: Any, count: int) -> Any:
    if not is_number(value):
        raise Fault("CLN105", f"cannot negate {kind_of(value)}")
    return _checked(-value, "-") if count % 2 else value


@_operation("plain")
def _plain(_active: Active, value: Any) -> Any:
    return float_text(value) if type(value) is float else value


@_operation("concat")
def _concat(active: Active, *parts: Any) -> str:
    texts: list[str] = []
    for part in parts:
        kind = type(part)
        if kind is str:
            texts.append(part)
        elif kind is int:
            texts.append(str(part))
        elif kind is float:
            texts.append("NaN" if math.isnan(part) else float_literal(part))
        else:
            raise Fault(
                "CLN105", f"`~` joins strings and numbers, got {kind_of(part)}", "use `| as_str` first"
            )
    return active.run.produce("".join(texts))


# -- default


@_operation("boxed")
def _boxed(_active: Active, value: Any) -> tuple[Any]:
    return (value,)


@_operation("boxed_if_present")
def _boxed_if_present(_active: Active, value: Any) -> tuple[Any] | None:
    return None if value is None or isinstance(value, Undefined) else (value,)


@_operation("unboxed")
def _unboxed(_active: Active, box: tuple[Any]) -> Any:
    return box[0]


# -- loops and assignment


@_operation("loop_open")
def _loop_open(active: Active, container: Any, key: str | None, value: str) -> bool:
    """Begin a loop; false if there is nothing to loop over."""
    kind = type(container)
    if kind is dict:
        if key is None:
            raise Fault(
                "CLN105", "an object is looped over with two names", f"write `{{% for key, {value} in … %}}`"
            )
        entries: Any = iter(sorted(container.items()))
    elif kind in (list, str):
        if key is not None:
            raise Fault("CLN105", f"only an object has keys, got {kind_of(container)}")
        entries = iter(container)
    else:
        raise Fault("CLN105", f"cannot loop over {kind_of(container)}")
    if not container:
        return False
    active.run.frames.append(LoopFrame(entries, len(container), key, value))
    return True


@_operation("loop_turns")
def _loop_turns(active: Active, _nothing: None) -> Iterator[None]:
    run = active.run
    frames = run.frames
    level = len(frames)
    frame = frames[-1]
    assert isinstance(frame, LoopFrame)
    for index, entry in enumerate(frame.entries):
        run.take_turn()
        del frames[level:]  # a faulty turn may have left frames behind
        frame.clear()
        if frame.key is None:
            frame[frame.value] = entry
        else:
            frame[frame.key], frame[frame.value] = entry
        frame["loop"] = {
            "index": index + 1,
            "index0": index,
            "first": index == 0,
            "last": index + 1 == frame.size,
        }
        yield None


@_operation("loop_close")
def _loop_close(active: Active, _nothing: None) -> None:
    active.run.frames.pop()


@_operation("assign")
def _assign(active: Active, value: Any, name: str, everywhere: bool) -> None:  # noqa: FBT001 - compiled calls
    active.run.assign(name, value, everywhere=everywhere)


# -- macros, blocks, includes


@_operation("macro")
def _macro(
    active: Active, namespace: str | None, name: str, positional: list[Any], named: dict[str, Any]
) -> str:
    file, macro = active.macro(namespace, name)
    parameters = macro.parameters
    if len(positional) > len(parameters):
        message = f"macro `{name}` takes {len(parameters)} arguments, got {len(positional)}"
        raise Fault("CLN104", message, f"`{name}({', '.join(parameters)})`")
    frame = Frame(zip(parameters, positional, strict=False))
    for parameter in parameters:
        if parameter in named:
            if parameter in frame:
                raise Fault("CLN104", f"macro `{name}` got `{parameter}` twice")
            frame[parameter] = named[parameter]
        elif parameter not in frame:
            if parameter not in macro.defaults:
                near = did_you_mean(parameter, named)
                raise Fault(
                    "CLN104",
                    f"macro `{name}` needs `{parameter}`{near}",
                    f"`{name}({', '.join(parameters)})`",
                )
            frame[parameter] = macro.defaults[parameter]
    return _call(active, file, macro.block, frame)


def _call(active: Active, file: Any, function: str, frame: Frame) -> str:
    run = active.run
    run.enter()
    saved, run.frames = run.frames, [frame]
    run.macro_depth += 1
    calling, run.current_file = run.current_file, file.display
    try:
        return run.collect(run.function(file, function)(run.active(file)))
    finally:
        run.frames, run.current_file = saved, calling
        run.depth -= 1
        run.macro_depth -= 1


@_operation("super")
def _super(active: Active, name: str) -> str:
    return active.run.collect(active.block(name, below=active.file))


@_operation("include")
def _include(active: Active, names: Any, ignores_missing: bool) -> str:  # noqa: FBT001 - compiled calls
    run = active.run
    candidates = names if type(names) is list else [names]
    if not all(type(name) is str for name in candidates):
        raise Fault("CLN105", "`include` needs a file name, or an array of them")
    failure: Unfindable | None = None
    for name in candidates:
        try:
            file = run.loader.load(name, active.file)
        except Unfindable as error:
            if type(error) is not Unfindable:
                raise  # found, but forbidden or faulty: not missing
            failure = failure or error
            continue
        return _included(active, file)
    if ignores_missing:
        return ""
    raise failure or Fault("CLN105", "`include` needs a file name")


def _included(active: Active, file: Any) -> str:
    run = active.run
    run.enter()
    run.frames.append(Frame())
    size = len(run.frames)
    calling, run.current_file = run.current_file, file.display
    try:
        return run.collect(run.root(file))
    finally:
        del run.frames[size - 1 :]
        run.depth -= 1
        run.current_file = calling
