"""Carts and orders, kept in Redis: a service that has a real database behind it."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from places import place_of
from redis_client import Redis
from traced_http import Answer, serve_until_stopped
from tracing import tracing

tracer = trace.get_tracer("demo.shop")

PRICES_CENTS = {"tea": 420, "pot": 3150}


class Shop:
    """The routes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, line: dict[str, Any]) -> Answer:
        """Put ``quantity`` of ``item`` into ``cart``."""
        if line["item"] not in PRICES_CENTS:
            trace.get_current_span().add_event("item.unknown", {"demo.item": line["item"]})
            return Answer(404, {"unknown": line["item"]})
        held = self._redis.command("HINCRBY", f"cart:{line['cart']}", line["item"], line["quantity"])
        return Answer(200, {"held": held})

    def check_out(self, order: dict[str, Any]) -> Answer:
        """Turn ``cart`` into an order with a number, or refuse an empty one."""
        cart = f"cart:{order['cart']}"
        with tracer.start_as_current_span("read cart") as span:
            words = self._redis.command("HGETALL", cart)
            lines = _pairs(words if isinstance(words, list) else [])
            span.set_attribute("demo.lines", len(lines))
        if not lines:
            trace.get_current_span().add_event("cart.empty")
            return Answer(409, {"refused": "the cart is empty"})
        with tracer.start_as_current_span("place order") as span:
            total_cents = sum(PRICES_CENTS[item] * quantity for item, quantity in lines.items())
            number = self._redis.command("INCR", "orders:placed")
            self._redis.command("RENAME", cart, f"order:{number}")
            span.set_attribute("demo.total_cents", total_cents)
        return Answer(201, {"order": number, "total_cents": total_cents})


def _pairs(words: list[Any]) -> dict[str, int]:
    return {str(item): int(quantity) for item, quantity in zip(words[::2], words[1::2], strict=True)}


if __name__ == "__main__":
    with tracing():
        shop = Shop(Redis(place_of("redis", 6379)))
        routes = {"POST /cart/lines": shop.add, "POST /orders": shop.check_out}
        serve_until_stopped(place_of("shop", 8080)[1], routes)
