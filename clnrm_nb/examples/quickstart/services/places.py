"""Where the services of the test are: read from what the runner injects, never written into the code.

In containers a service is found by its name and its own port; on the `process` backend at 127.0.0.1 and a
port reserved for this run. Started by hand, without a runner, everything is on this machine.
"""

from __future__ import annotations

import os


def place_of(service: str, port: int) -> tuple[str, int]:
    """Host and TCP port under which `service`, which declares `port`, answers."""
    name = service.upper()
    host = os.environ.get(f"CLNRM_HOST_{name}", "127.0.0.1")
    return host, int(os.environ.get(f"CLNRM_PORT_{name}_{port}", port))
