"""Fills a cart and checks out, as ``python3 shopper.py ada tea=2 pot=1``: the command that drives the test.

Prints the answer to the order; exit code 0 if it was taken, 3 if it was refused.
"""

from __future__ import annotations

import json
import sys

from opentelemetry import trace
from places import place_of
from traced_http import call
from tracing import caller_from_environment, tracing

tracer = trace.get_tracer("demo.shopper")


def main(cart: str, words: list[str]) -> int:
    """Put ``item=quantity`` words into `cart`, then order it."""
    place = place_of("shop", 8080)
    with tracing(), caller_from_environment(), tracer.start_as_current_span("shopping"):
        for word in words:
            item, quantity = word.split("=")
            call("POST", place, "/cart/lines", {"cart": cart, "item": item, "quantity": int(quantity)})
        answer = call("POST", place, "/orders", {"cart": cart})
    print(json.dumps(answer.body))
    return 0 if answer.status == 201 else 3  # noqa: PLR2004  # Created.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
