"""Orders something, as ``python3 customer.py kettle=1 cup=2``: the command that drives the test.

Prints the answer; exit code 0 if the order was taken, 3 if it was refused.
"""

from __future__ import annotations

import json
import sys

from opentelemetry import trace
from places import place_of
from traced_http import call
from tracing import caller_from_environment, tracing

tracer = trace.get_tracer("demo.customer")


def main(words: list[str]) -> int:
    """Send one order made of ``item=quantity`` words."""
    lines = {item: int(quantity) for item, quantity in (word.split("=") for word in words)}
    with tracing(), caller_from_environment(), tracer.start_as_current_span("checkout"):
        answer = call("POST", place_of("gateway", 8080), "/orders", {"lines": lines})
    print(json.dumps(answer.body))
    return 0 if answer.status == 201 else 3  # noqa: PLR2004  # Created.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
