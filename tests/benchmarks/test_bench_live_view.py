"""What a live view costs the engine's loop at 1,000 spans a second (`make bench`).

No clock is waited for: the work of each second of a run is done at once, and its CPU time is compared with a
second. What the loop does: take the events in, four drawings of the state, one of the figure.
"""

from __future__ import annotations

import json
import time
from statistics import median

import pytest

GOAL_SHARE = 0.05
SECONDS = 15
SPANS_PER_S = 1_000

pytestmark = pytest.mark.bench


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def sent(monkeypatch):
    """Sizes in bytes of what widgets send; packed as a kernel packs it, so that its cost is counted."""
    import comm
    from comm.base_comm import BaseComm

    sizes = []

    class Wire(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            packed = json.dumps(data, default=str)
            if msg_type == "comm_msg":
                sizes.append(len(packed) + sum(len(part) for part in buffers or ()))

    monkeypatch.setattr(comm, "create_comm", Wire)
    return sizes


def test_live_view_of_a_thousand_spans_a_second_takes_little_of_a_core(sent):
    import ipywidgets

    from clnrm_nb.api.live import _newest
    from clnrm_nb.executor.events import Event
    from clnrm_nb.notebook.livehtml import NEWEST_SPANS, progress_html
    from clnrm_nb.notebook.progress import RunProgress
    from clnrm_nb.notebook.views.growing import GrowingFigure
    from clnrm_nb.pipeline.live import LiveTables
    from clnrm_nb.spans.model import Resource, Span
    from clnrm_nb.spans.table import SpanTable

    clock = Clock()
    progress = RunProgress(clock)
    tables = LiveTables(shop=SpanTable())
    text, figure = ipywidgets.HTML(), GrowingFigure()
    shop = Resource({"service.name": "shop"})
    shares = []
    for second in range(SECONDS):
        for n in range(second * SPANS_PER_S, (second + 1) * SPANS_PER_S):
            start_ns = n * 1_000_000
            span = Span(
                "1" * 32,
                f"{n:016x}",
                f"step {n}",
                start_ns=start_ns,
                end_ns=start_ns + 700_000,
                resource=shop,
            )
            tables["shop"].append(span, "buys")
        begun = time.thread_time()
        for _ in range(4):
            for _ in range(SPANS_PER_S // 4):
                progress.take(Event("span", "r", test="shop", data={"count": 1}))
            text.value = progress_html(progress, _newest(tables, NEWEST_SPANS))
            clock.now += 0.25
        figure.draw(lambda limit: _newest(tables, limit), progress.spans)
        shares.append(time.thread_time() - begun)

    print(
        f"\nlive view at {SPANS_PER_S:,} spans/s: {median(shares):.1%} of a core (most {max(shares):.1%}), "
        f"goal {GOAL_SHARE:.0%}; largest message {max(sent[4:]):,} bytes, goal 20,000"
    )
    assert median(shares) <= GOAL_SHARE
    assert max(sent[4:]) <= 20_000
