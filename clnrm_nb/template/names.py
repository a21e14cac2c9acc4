"""Operations on names: look-up, paths behind a name, and the environment (``format.md`` 2.3 and 2.5).

A path reaches data only: keys of objects and places of arrays. Whether being undefined is a mistake is said
by the operation that was compiled: ``get`` where the value is needed, ``get_leniently`` where it may be
absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.values import UNDEFINED, Missing, is_number, kind_of, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.activation import Active

__all__ = ["NAMES"]

_SPACES: Final = {"vars": "", "matrix": "matrix.", "otel": "otel.", "params": "params."}


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


def _env(active: Active, name: Any, default: Any) -> Any:
    return _need_environment(_env_or_missing(active, name, default))


def _env_or_missing(active: Active, name: Any, default: Any) -> Any:
    if type(name) is not str:
        raise Fault("CLN104", f"`env` needs a string for `name`, got {kind_of(name)}")
    value = active.run.read_environment(name)
    return default if isinstance(value, Missing) and default is not ... else value


NAMES: Final[dict[str, Callable[..., Any]]] = {
    "get": _get,
    "get_leniently": _get_leniently,
    "subscript": _subscript,
    "function:env": _env,
    "function:env_or_missing": _env_or_missing,
}
