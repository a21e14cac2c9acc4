"""What a collector makes of arrivals: ownership, waiting, the end of a trace."""

from __future__ import annotations

import asyncio
import time

import pytest

from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans import collector as collector_module
from clnrm_nb.spans.collector import QUIET_S, Collector
from clnrm_nb.spans.export import Delivery, Export, Refusal
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.receiver import Receiver
from clnrm_nb.spans.table import SpanTable

TRACE, OTHER = "a" * 32, "b" * 32


class QuietReceiver(Receiver):
    """A receiver without sockets."""

    def __init__(self):
        super().__init__()
        self.busy = False

    def connections_busy(self, tokens=None):
        return self.busy


@pytest.fixture
def receiver():
    return QuietReceiver()


@pytest.fixture
async def collector(receiver):
    return Collector("t", receiver)


def span(number, parent=None, *, trace=TRACE, start_ns=None, **fields):
    start_ns = time.time_ns() if start_ns is None else start_ns
    return Span(
        trace,
        f"{number:016x}",
        fields.pop("name", f"n{number}"),
        None if parent is None else f"{parent:016x}",
        start_ns=start_ns,
        end_ns=start_ns + 1000,
        **fields,
    )


def arrive(receiver, token, *spans):
    receiver.deliver(Delivery(token, Intake(table=SpanTable(spans))))


# ------------------------------------------------------------------------------------------ whose span


async def test_the_token_decides_before_trace_and_time(receiver, collector):
    first = collector.open_scenario("first", TRACE, "1" * 16)
    collector.open_scenario("second", OTHER, "2" * 16)

    arrive(receiver, first, span(1, trace=OTHER))

    assert collector.finish(killed=[]).table.scenario == ["first"]


async def test_spans_of_services_go_by_trace_id_then_by_time_then_to_the_test(receiver, collector):
    before_ns = time.time_ns()
    collector.open_scenario("first", TRACE, "1" * 16)
    inside_ns = time.time_ns()
    collector.close_scenario("first")
    collector.open_scenario("second", OTHER, "2" * 16)

    arrive(
        receiver,
        collector.services_token,
        span(1, trace=OTHER, start_ns=inside_ns),
        span(2, trace="c" * 32, start_ns=inside_ns),
        span(3, trace="c" * 32, start_ns=before_ns - 10**9),
    )

    assert collector.finish(killed=[]).table.scenario == ["second", "first", None]


async def test_a_span_in_the_time_of_two_concurrent_scenarios_stays_at_the_test(receiver, collector):
    collector.open_scenario("first", TRACE, "1" * 16)
    collector.open_scenario("second", OTHER, "2" * 16)

    arrive(receiver, collector.services_token, span(1, trace="c" * 32))

    assert collector.finish(killed=[]).table.scenario == [None]


async def test_an_interval_that_turns_out_shorter_is_asked_again_at_the_end(receiver, collector):
    collector.open_scenario("first", TRACE, "1" * 16)
    later_ns = time.time_ns() + 10**12
    arrive(receiver, collector.services_token, span(1, trace="c" * 32, start_ns=later_ns))
    assert collector.table.scenario == ["first"]
    collector.close_scenario("first")

    assert collector.finish(killed=[]).table.scenario == [None]


async def test_late_spans_of_a_closed_scenario_are_still_its_own(receiver, collector):
    token = collector.open_scenario("first", TRACE, "1" * 16)
    collector.close_scenario("first")

    arrive(receiver, token, span(1, start_ns=1))

    assert collector.finish(killed=[]).table.scenario == ["first"]


# ----------------------------------------------------------------------------------------------- quiet


async def test_it_is_quiet_150_ms_after_the_last_span(receiver, collector):
    token = collector.open_scenario("s", TRACE, "1" * 16)
    loop = asyncio.get_running_loop()
    arrivals = [
        loop.call_later(0.1, arrive, receiver, token, span(1)),
        loop.call_later(0.2, arrive, receiver, token, span(2)),
    ]
    began_s = loop.time()

    assert await collector.quiet(60)

    took_s = loop.time() - began_s
    assert all(arrival.when() <= loop.time() for arrival in arrivals)
    assert 0.2 + QUIET_S - 0.01 <= took_s < 10


async def test_it_is_not_quiet_while_a_parent_is_missing_and_is_at_once_when_it_comes(receiver, collector):
    token = collector.open_scenario("s", TRACE, "1" * 16)
    arrive(receiver, token, span(2, parent=1))
    waiting = asyncio.create_task(collector.quiet(60))
    done, _ = await asyncio.wait([waiting], timeout=QUIET_S + 0.1)
    assert not done

    arrive(receiver, token, span(1))

    assert await waiting


async def test_it_gives_up_waiting_for_a_parent_after_the_limit_and_says_so(receiver, collector):
    arrive(receiver, collector.services_token, span(2, parent=1), span(3, parent=1), span(4, parent=2))

    assert not await collector.quiet(0.3)

    collected = collector.finish(killed=["db"], dropped=12)
    assert not collected.complete
    assert [str(finding) for finding in collected.diagnostics] == [
        "CLN614 2 orphans; service `db` had to be killed; 12 spans dropped by the exporter"
    ]


async def test_the_span_of_traceparent_counts_as_a_known_parent(receiver, collector):
    token = collector.open_scenario("s", TRACE, f"{7:016x}")

    arrive(receiver, token, span(1, parent=7))

    assert await collector.quiet(60)
    assert collector.finish(killed=[]).complete


async def test_a_request_that_was_put_off_delays_quiet_until_it_comes_again(receiver, collector):
    token = collector.services_token
    put_off, again = Export(receiver, token), Export(receiver, token)
    put_off.refused(Refusal(503, "later"), (10, b"tail"))
    put_off.release()
    waiting = asyncio.create_task(collector.quiet(10))
    await asyncio.sleep(2 * QUIET_S)
    was_waiting = not waiting.done()

    await again.take(bytes, (10, b"tail"), is_json=False)
    again.release()

    assert was_waiting
    assert await waiting
    assert collector.finish(killed=[]).complete


async def test_a_request_that_was_cut_off_is_not_waited_for(receiver, collector):
    lost = Export(receiver, collector.services_token)
    lost.cut_off(10)
    lost.release()

    began_s = time.monotonic()
    assert await collector.quiet(60)
    # One that was put off is waited for three seconds.
    assert time.monotonic() - began_s < 2.5
    assert not collector.finish(killed=[]).complete


async def test_a_busy_connection_delays_quiet(receiver, collector):
    receiver.busy = True
    asyncio.get_running_loop().call_later(0.3, setattr, receiver, "busy", False)
    began_s = time.monotonic()

    assert await collector.quiet(60)

    assert time.monotonic() - began_s >= 0.29


async def test_cancelling_wakes_everything_that_waits(collector):
    waits = [
        asyncio.create_task(collector.quiet(60)),
        asyncio.create_task(collector.wait_for_span(NamePattern.of("never"), "s", 60)),
    ]
    await asyncio.sleep(0)

    collector.cancel()

    async with asyncio.timeout(20):
        assert await asyncio.gather(*waits) == [False, False]


# ------------------------------------------------------------------------------------------- one span


async def test_waiting_for_a_span_ends_when_it_comes_from_that_service(receiver, collector):
    waiting = asyncio.create_task(collector.wait_for_span(NamePattern.of("ready*"), "db", 60))
    await asyncio.sleep(0)
    arrive(
        receiver,
        collector.services_token,
        span(1, name="ready-1", resource=Resource({"service.name": "api"})),
    )
    arrive(
        receiver, collector.services_token, span(2, name="other", resource=Resource({"service.name": "db"}))
    )
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done

    arrive(
        receiver, collector.services_token, span(3, name="ready-2", resource=Resource({"service.name": "db"}))
    )

    assert await waiting


async def test_waiting_for_a_span_that_is_there_already_takes_no_time(receiver, collector):
    arrive(
        receiver, collector.services_token, span(1, name="ready", resource=Resource({"service.name": "db"}))
    )

    assert await collector.wait_for_span(NamePattern.of("ready"), "db", 0)


async def test_waiting_for_a_span_that_never_comes_ends_in_time(collector):
    assert not await collector.wait_for_span(NamePattern.of("ready"), "db", 0.05)


# --------------------------------------------------------------------------------------------- repeats


async def test_an_exporter_that_sends_again_changes_nothing(receiver, collector):
    spans = [span(1), span(2, parent=1)]

    arrive(receiver, collector.services_token, *spans)
    arrive(receiver, collector.services_token, *spans)
    collected = collector.finish(killed=[])

    assert len(collected.table) == 2
    assert collected.diagnostics == ()


async def test_a_repeat_with_other_content_is_reported_and_the_later_end_kept(receiver, collector):
    arrive(receiver, collector.services_token, span(1, start_ns=10, name="late"))
    arrive(receiver, collector.services_token, span(1, start_ns=5, name="early"))
    collected = collector.finish(killed=[])

    assert collected.table.name == ["late"]
    (finding,) = collected.diagnostics
    assert str(finding) == (
        "CLN613 1 span came twice with other content; the one with the later end is kept; "
        "one id stands for different spans: `late` and `early`"
    )


async def test_one_span_id_in_two_traces_is_two_spans(receiver, collector):
    arrive(receiver, collector.services_token, span(1), span(1, trace=OTHER), span(1, trace=OTHER))

    assert len(collector.finish(killed=[]).table) == 2


# ----------------------------------------------------------------------------------------- own, printed


async def test_own_spans_are_rows_of_their_own_and_known_parents(receiver, collector):
    collector.add_own(span(9, name="clnrm.scenario:s"), "s")
    arrive(receiver, collector.services_token, span(1, parent=9))
    collected = collector.finish(killed=[])

    assert collected.table.own == [True, False]
    assert collected.table.scenario[0] == "s"
    assert collected.complete


async def test_printed_spans_in_pieces_are_found_between_other_output(collector):
    text = (
        b"starting {not json}\n"
        + b'{"name": "a", "trace_id": "%s", "span_id": "%s"}\n' % (b"c" * 32, b"1" * 16)
        + b"[INFO] done\n"
        + b'{"name":\n  "b", "trace_id": "%s",\n "span_id": "%s"}' % (b"c" * 32, b"2" * 16)
    )

    for position in range(len(text)):
        collector.add_output(text[position : position + 1], "s")
    collected = collector.finish(killed=[])

    assert collected.table.name == ["a", "b"]
    assert collected.table.scenario == ["s", "s"]


async def test_output_of_two_services_does_not_mix(collector):
    line = b'{"name": "a", "trace_id": "%s", "span_id": "%s"}\n'
    one, two = line % (b"c" * 32, b"1" * 16), line % (b"c" * 32, b"2" * 16)

    collector.add_output(one[:20], None, source="api")
    collector.add_output(two[:30], None, source="db")
    collector.add_output(one[20:], None, source="api")
    collector.add_output(two[30:], None, source="db")

    assert sorted(collector.finish(killed=[]).table.span_id) == ["1" * 16, "2" * 16]


@pytest.mark.parametrize("exported_first", [True, False])
async def test_of_both_ways_the_exported_span_stays_whichever_comes_first(
    receiver, collector, exported_first
):
    exported = span(1, start_ns=1_700_000_000_000_000_123, attributes={"full": True})
    line = b'{"name": "n1", "trace_id": "%s", "span_id": "%s"}\n' % (
        TRACE.encode(),
        exported.span_id.encode(),
    )

    if exported_first:
        arrive(receiver, collector.services_token, exported)
    collector.add_output(line, "s")
    if not exported_first:
        arrive(receiver, collector.services_token, exported)
    collected = collector.finish(killed=[])

    assert collected.table.attributes == [{"full": True}]
    assert collected.diagnostics == ()


async def test_what_the_sdk_says_it_dropped_makes_the_trace_incomplete(receiver, collector):
    receiver.deliver(Delivery(collector.services_token, Intake(table=SpanTable([span(1)]), dropped=3)))

    collected = collector.finish(killed=[])

    assert not collected.complete
    assert collected.diagnostics[0].message == "3 attributes, events or links dropped by the SDK"


async def test_listeners_hear_of_new_rows_only(receiver, collector):
    heard = []
    collector.subscribe(lambda first, n_rows: heard.append((first, n_rows)))

    arrive(receiver, collector.services_token, span(1), span(2))
    arrive(receiver, collector.services_token, span(2))
    arrive(receiver, collector.services_token, span(3))

    assert heard == [(0, 2), (2, 1)]


async def test_a_closed_collector_takes_nothing_and_may_be_closed_twice(receiver, collector):
    collector.close()
    collector.close()

    arrive(receiver, collector.services_token, span(1))

    assert len(collector.table) == 0
    assert receiver.stray_count == 1


def test_the_quiet_time_is_longer_than_the_export_interval_programs_are_given():
    assert collector_module.QUIET_S > 0.1
