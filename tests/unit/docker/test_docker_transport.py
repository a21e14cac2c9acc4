"""What is left of a call to an engine that is not there."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.engine import Engine


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_call_to_an_engine_that_is_gone_holds_no_socket(tmp_path, monkeypatch):
    """Python said `unclosed socket` much later, in whatever ran then."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("engine.sock")
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(BackendUnavailableError) as refused:
        Engine._connect(f"unix://{tmp_path}/engine.sock", {})

    # The error is still held, and with it every variable of the functions it came through.
    assert len(list(Path("/proc/self/fd").iterdir())) == before, refused.value
