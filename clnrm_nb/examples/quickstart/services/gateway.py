"""Where customers order: reserves each line of an order at the inventory, then prices the order."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from places import place_of
from traced_http import Answer, call, serve_until_stopped
from tracing import tracing

tracer = trace.get_tracer("demo.gateway")

PRICES_CENTS = {"kettle": 2900, "cup": 950, "lamp": 6400}


def place_order(order: dict[str, Any]) -> Answer:
    """201 with the price in cents, or 409 with the item there is too little of."""
    lines: dict[str, int] = order["lines"]
    refused = reserve(lines)
    if refused is not None:
        return Answer(409, {"refused": refused})
    return Answer(201, {"total_cents": price(lines)})


def reserve(lines: dict[str, int]) -> str | None:
    """Reserve line after line; the first item that is short, if any."""
    with tracer.start_as_current_span("reserve lines", attributes={"demo.lines": len(lines)}) as span:
        for item, quantity in lines.items():
            line = {"item": item, "quantity": quantity}
            answer = call("POST", place_of("inventory", 8081), "/reservations", line)
            if answer.status != 200:  # noqa: PLR2004  # OK.
                span.add_event("order.refused", {"demo.item": item})
                return item
    return None


def price(lines: dict[str, int]) -> int:
    """Sum of all lines."""
    with tracer.start_as_current_span("price order") as span:
        total_cents = sum(PRICES_CENTS[item] * quantity for item, quantity in lines.items())
        span.set_attribute("demo.total_cents", total_cents)
        return total_cents


if __name__ == "__main__":
    with tracing():
        serve_until_stopped(place_of("gateway", 8080)[1], {"POST /orders": place_order})
