"""Log records without secrets."""

from __future__ import annotations

import io
import logging

import pytest

from clnrm_nb.secrets import MASK, Masker
from clnrm_nb.secrets.logs import MaskingFormatter, masked_logs


@pytest.fixture
def logged():
    """A logger, and what it has written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(MaskingFormatter(logging.Formatter("%(levelname)s %(message)s")))
    logger = logging.getLogger("of a test")
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)


def test_messages_arguments_and_tracebacks_are_masked_while_a_run_goes_on(logged):
    logger, written = logged

    with masked_logs(Masker(["hunter2"])), masked_logs(Masker(["swordfish"])):
        logger.warning("%s and %s", "hunter2", ["swordfish"], exc_info=ValueError("no hunter2"))
    logger.warning("after it: hunter2")

    assert written.getvalue().splitlines() == [
        f"WARNING {MASK} and ['{MASK}']",
        f"ValueError: no {MASK}",
        "WARNING after it: hunter2",
    ]


def test_a_run_that_fails_leaves_no_masker_behind(logged):
    logger, written = logged

    with pytest.raises(ValueError), masked_logs(Masker(["hunter2"])):
        raise ValueError
    logger.warning("hunter2")

    assert written.getvalue() == "WARNING hunter2\n"
