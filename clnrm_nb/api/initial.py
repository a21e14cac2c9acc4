"""``clnrm init``: working examples laid down where a person can change it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clnrm_nb import examples
from clnrm_nb.config.settings import Settings
from clnrm_nb.errors import UsageError
from clnrm_nb.state.ignore import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["default_configuration", "lay_down"]

_SECTIONS = (
    *("watch", "cache", "executor", "containers", "receiver", "discovery"),
    *("template", "diff", "baseline", "lint", "output", "notebook"),
)
"""The sections of ``.clnrm/config.toml``; ``security`` is the user's alone."""
_NO_PROJECTS = frozenset({"cache.shared.key"})
"""Keys that are refused there."""


def lay_down(directory: Path, *, with_config: bool, force: bool) -> tuple[list[Path], list[Path]]:
    """Write the examples, the state directory's ``.gitignore`` and, if asked, ``config.toml``.

    Returns
    -------
    tuple of two lists of Path
        What was written, and what was there already and left alone.

    Raises
    ------
    UsageError
        `directory` is a file.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    files = {directory / ".clnrm" / ".gitignore": IGNORE}
    if with_config:
        files[directory / ".clnrm" / "config.toml"] = default_configuration()
    kept = [path for path in files if path.exists() and not force]
    written = [path for path in files if path not in kept]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for name in examples.NAMES:
        example_written, example_kept = examples.lay_down(name, directory / "tests", force=force)
        written += example_written
        kept += example_kept
    return written, kept


def default_configuration() -> str:
    """``.clnrm/config.toml`` with every key a project may set, commented out at its default."""
    defaults = Settings().model_dump(mode="json", by_alias=True)
    lines = ["# Every key with its default; take the '#' away to change one.", ""]
    tables = [(name, defaults[name]) for name in _SECTIONS]
    while tables:
        name, table = tables.pop(0)
        lines.append(f"[{name}]")
        inner = [(f"{name}.{key}", value) for key, value in table.items() if isinstance(value, dict)]
        lines += [
            f"# {key} = {_toml(value)}"
            for key, value in table.items()
            if value is not None and not isinstance(value, dict) and f"{name}.{key}" not in _NO_PROJECTS
        ]
        lines.append("")
        tables = inner + tables
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """Defaults are numbers, words, booleans and arrays of words, which JSON and TOML write alike."""
    return json.dumps(value, ensure_ascii=False)
