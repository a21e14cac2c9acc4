"""``python -m clnrm_nb.schemas [DIRECTORY]`` writes the schemas of the files people edit.

Without a directory it rewrites those of this package, which is what to do after a change of the declarations;
with one it puts them where an editor can find them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.config.schema import config_schema
from clnrm_nb.scenario.schema import scenario_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SCHEMAS", "main", "text_of"]

SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "scenario.schema.json": scenario_schema,
    "config.schema.json": config_schema,
}


def text_of(name: str) -> str:
    """The text of one of :data:`SCHEMAS`, as it stands in its file."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


def main(words: Sequence[str]) -> None:
    """Write both, and say where they are."""
    directory = Path(words[0]) if words else Path(__file__).parent
    directory.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        path = directory / name
        path.write_text(text_of(name), encoding="utf-8")
        print(path)  # noqa: T201  # What the person asked for.


if __name__ == "__main__":
    main(sys.argv[1:])
