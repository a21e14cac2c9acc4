"""JSON Schemas: of documents that leave the process, and of the files people edit.

Those of documents are named ``<document>.v<version>.schema.json``. A document whose meaning changes gets a
new version, and the schema of the old one stays. ``scenario.schema.json`` and ``config.schema.json`` are made
from the declarations by ``python -m clnrm_nb.schemas``; a test holds them against each other.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["schema"]


def schema(document: str, version: int = 1) -> dict[str, Any]:
    """A schema by the name of its document.

    Examples
    --------
    >>> schema("trace")["title"]
    'Durable output of a trace'
    """
    text = files(__name__).joinpath(f"{document}.v{version}.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
