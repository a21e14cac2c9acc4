"""Asks a service whether it is ready, as ``python3 probe.py inventory 8081``: a health check.

Without OpenTelemetry, so that it starts in a few tens of milliseconds.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection

from places import place_of


def main(service: str, port: str) -> int:
    """0 if ``/healthz`` answers 200."""
    host, real_port = place_of(service, int(port))
    connection = HTTPConnection(host, real_port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1  # noqa: PLR2004  # OK.
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
