"""How fast spans come in, what they cost, and whether all of them arrive, beside the plainest way to do it.

The peer is what one would write first: the standard library's threading HTTP server, the official protobuf
message, one dictionary a span. Both servers run in a process of their own and get the same bytes from a third
process, in turns; the figures are medians. A request counts when its answer is there, so ours includes token,
decoding, sharing, identity and ownership.

The rate of one core is spans over the processor time of the receiving process, kernel included: it is what the
receiver can do, however busy the machine is. Beside it stands what came in by the clock.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest
from yardstick import slowness

pytestmark = pytest.mark.bench

ROUND_BATCHES = 24
REPEATS = 5
CONNECTIONS = 2
SENDERS = 10
GOAL_SPANS_PER_S = 20_000
GOAL_SPANS_PER_CORE_S = 60_000
GOAL_MB = 150


def load():
    source = Path(__file__).with_name("receiver_load.py")
    spec = importlib.util.spec_from_file_location("receiver_load", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules["receiver_load"] = module
    spec.loader.exec_module(module)
    return module


receiver_load = load()
BATCH, children = receiver_load.BATCH, receiver_load.children


def order(address: dict, first: int, batches: int, connections: int) -> dict:
    return {**address, "first": first, "batches": batches, "connections": connections}


def test_spans_come_in_at_sixty_thousand_a_second_of_a_core_beside_a_plain_server():
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    of_a_core: dict[str, list[float]] = {"ours": [], "peer": []}
    with children("ours", "peer", "sender") as (ours_child, peer_child, sending):
        servers = {"ours": ours_child, "peer": peer_child}
        addresses = {name: child.read() for name, child in servers.items()}
        for turn in range(REPEATS + 1):
            for name, child in servers.items():
                before_s = child.ask("count")["cpu_s"]
                took_s = sending.ask(order(addresses[name], 0, ROUND_BATCHES, CONNECTIONS))
                counted = child.ask("count")
                assert counted["distinct"] == ROUND_BATCHES * BATCH
                addresses[name] |= child.ask("clear")
                if turn:  # The first turn warms up.
                    rates[name].append(ROUND_BATCHES * BATCH / took_s)
                    of_a_core[name].append(ROUND_BATCHES * BATCH / (counted["cpu_s"] - before_s))
    core = {name: statistics.median(values) for name, values in of_a_core.items()}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    mine, theirs = medians["ours"], medians["peer"]
    print(
        f"\nreceiver: {mine:,.0f} spans/s (median of {REPEATS}, lowest {min(rates['ours']):,.0f}); "
        f"peer (http.server, dict a span): {theirs:,.0f}; ratio {mine / theirs:.2f}; "
        f"{CONNECTIONS} connections, batches of {BATCH}, 10 attributes; "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(
        f"receiver, a core: {core['ours']:,.0f} spans/s (goal {GOAL_SPANS_PER_CORE_S:,}); "
        f"peer: {core['peer']:,.0f}; ratio {core['ours'] / core['peer']:.2f}"
    )
    assert mine >= GOAL_SPANS_PER_S / slowness(time.perf_counter)
    assert core["ours"] >= GOAL_SPANS_PER_CORE_S / slowness()


def test_a_hundred_thousand_spans_take_at_most_150_mb():
    batches = 196
    grown = {}
    with children("ours", "peer", "sender") as (ours_child, peer_child, sending):
        for name, child in (("ours", ours_child), ("peer", peer_child)):
            address = child.read()
            sending.ask(order(address, 1_000, 2, 1))
            before_mb = child.ask("count")["rss_mb"]
            for first in range(0, batches, 28):
                sending.ask(order(address, first, 28, 1))
            counted = child.ask("count")
            assert counted["spans"] == (batches + 2) * BATCH
            grown[name] = (counted["rss_mb"] - before_mb) * 100_000 / (batches * BATCH)
    print(f"\n100,000 spans of 10 attributes: {grown['ours']:.0f} MB; peer: {grown['peer']:.0f} MB")
    assert grown["ours"] <= GOAL_MB


def test_ten_senders_at_once_lose_and_double_nothing():
    batches = 4
    with children("ours", *["sender"] * SENDERS) as (server, *senders):
        address = server.read()
        threads = [
            threading.Thread(target=child.ask, args=(order(address, number * batches, batches, 2),))
            for number, child in enumerate(senders)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = server.ask("count")
    print(f"\n{SENDERS} senders: {counted['spans']:,} spans of {SENDERS * batches * BATCH:,}")
    assert counted["spans"] == counted["distinct"] == SENDERS * batches * BATCH
