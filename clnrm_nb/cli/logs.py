"""The log of a command on stderr: ``-v`` (repeatable) says how much, ``--log-format`` in what form."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clnrm_nb.secrets.logs import MaskingFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.api import Context

__all__ = ["log_on_stderr"]

_LOGGER = "clnrm_nb"


@contextlib.contextmanager
def log_on_stderr(context: Context) -> Iterator[None]:
    """What this package logs goes to stderr while this lasts, secrets masked."""
    settings = context.settings
    as_text = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    inner = _JsonFormatter() if settings.output.log_format == "json" else as_text
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(inner))
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
        document = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)
