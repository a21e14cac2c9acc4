"""What is on the shelf: takes things off it, or says that there are too few."""

from __future__ import annotations

import threading
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import StatusCode
from places import place_of
from traced_http import Answer, serve_until_stopped
from tracing import tracing

tracer = trace.get_tracer("demo.inventory")


class Shelf:
    """Quantities by name; one request changes them at a time."""

    def __init__(self, quantities: dict[str, int]) -> None:
        self._quantities = quantities
        self._lock = threading.Lock()

    def take(self, line: dict[str, Any]) -> Answer:
        """Take ``quantity`` of ``item``: 200 with what is left, or 409 and nothing is taken."""
        item, quantity = line["item"], line["quantity"]
        attributes = {"demo.item": item, "demo.quantity": quantity}
        with tracer.start_as_current_span("take from shelf", attributes=attributes) as span, self._lock:
            left = self._quantities.get(item, 0) - quantity
            if left < 0:
                span.add_event("shelf.short", {"demo.missing": -left})
                span.set_status(StatusCode.ERROR, f"{-left} too few")
                return Answer(409, {"missing": -left})
            self._quantities[item] = left
            span.add_event("shelf.taken", {"demo.left": left})
            return Answer(200, {"left": left})


if __name__ == "__main__":
    with tracing():
        shelf = Shelf({"kettle": 5, "cup": 40, "lamp": 1})
        serve_until_stopped(place_of("inventory", 8081)[1], {"POST /reservations": shelf.take})
