"""The operations compiled templates are made of.

Each takes the active file first (Jinja2 passes it as ``context``) and plain values after it. Together
with the functions, filters and tests they are all that a template can do. Here are those of statements:
output, loops, assignment, macros, includes; names and operators have modules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, Unfindable, did_you_mean
from clnrm_nb.template.names import NAMES
from clnrm_nb.template.operators import OPERATORS
from clnrm_nb.template.runtime import Frame, LoopFrame
from clnrm_nb.template.values import kind_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.template.activation import Active

__all__ = ["OPERATIONS"]


# -- output


def _print(active: Active, value: Any) -> str:
    text = value if type(value) is str else text_of(value)
    run = active.run
    if "{" in text and not run.macro_depth and ("{{" in text or "{%" in text):
        run.mark(text)
    return run.produce(text) if len(text) > 1024 else text  # noqa: PLR2004 - see produce


def _captured(active: Active, text: str) -> str:
    return active.run.produce(text)


def _fail(_active: Active, _subject: Any, code: str, message: str, hint: str | None) -> Any:
    raise Fault(code, message, hint)


def _unknown(active: Active, _subject: Any, role: str, name: str) -> Any:
    known = active.run.registry.of(role)
    raise Fault("CLN103", f"unknown {role} `{name}`{did_you_mean(name, known)}")


# -- loops and assignment


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


def _loop_close(active: Active, _nothing: None) -> None:
    active.run.frames.pop()


def _assign(active: Active, value: Any, name: str, everywhere: bool) -> None:  # noqa: FBT001 - compiled calls
    active.run.assign(name, value, everywhere=everywhere)


# -- macros, blocks, includes


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


def _super(active: Active, name: str) -> str:
    return active.run.collect(active.block(name, below=active.file))


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


OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    **NAMES,
    **OPERATORS,
    "print": _print,
    "captured": _captured,
    "fail": _fail,
    "unknown": _unknown,
    "loop_open": _loop_open,
    "loop_turns": _loop_turns,
    "loop_close": _loop_close,
    "assign": _assign,
    "macro": _macro,
    "super": _super,
    "include": _include,
}
