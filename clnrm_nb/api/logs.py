"""The log of a command on stderr: ``-v`` (repeatable) says how much, ``--log-format`` in what form.

``text`` is for people. ``json`` is one object a line, with the ids of the own span that was open where the
line was written, so that a log can be held beside a trace. Secrets are masked in every value, so a line stays
JSON whatever is masked in it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clnrm_nb.secrets.logs import MaskingFormatter, masked_text
from clnrm_nb.spans.phases import here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.api.contexts import Context

__all__ = ["log_on_stderr"]

_LOGGER = "clnrm_nb"


@contextlib.contextmanager
def log_on_stderr(context: Context) -> Iterator[None]:
    """What this package logs goes to stderr while this lasts, secrets masked."""
    settings = context.settings
    as_text = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    is_json = settings.output.log_format == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if is_json else MaskingFormatter(as_text))
    logger = logging.getLogger(_LOGGER)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(settings.observability.log_level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        document: dict[str, Any] = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked_text(record.getMessage()),
        }
        # A handler formats where the line is logged, so this is the place it is about.
        if (place := here()) is not None:
            known = {"run": place.run, "test": place.test}
            document |= {name: masked_text(value) for name, value in known.items() if value is not None}
            document |= {"trace_id": place.trace_id, "span_id": place.span_id}
        if record.exc_info:
            document["exception"] = masked_text(self.formatException(record.exc_info))
        return json.dumps(document, ensure_ascii=False)
