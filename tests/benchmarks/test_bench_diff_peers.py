"""The diff beside its peers in the same run: how many of each class they see, what they show, alarms, time."""

from __future__ import annotations

import time

import diff_measure as measure
import pytest
from diff_mutations import EDITS, make_case

FAMILIES = ("random", "wide", "requests", "chain", "fan-outs", "retries")
CLASSES = ("noise only", *EDITS, "3 mixed")


def asked(task: tuple[str, str, int, int]) -> tuple[str, str, int, float] | None:
    """Items a peer shows for one case, and its milliseconds."""
    from diff_peers import PEERS

    name, edits, size, seed = task
    peer, most = PEERS[name]
    if size > most:
        return None
    names = {"noise only": (), "3 mixed": ("attr changed", "subtree moved", "leaf inserted")}.get(
        edits, (edits,)
    )
    made = make_case(names, FAMILIES[seed % len(FAMILIES)], size, seed, "disjoint")
    if made is None:
        return None
    started = time.process_time()
    items = peer(made.baseline, made.current)
    return name, edits, items, (time.process_time() - started) * 1_000


def beside_peers(sizes: tuple[int, ...], n: int) -> dict[tuple[str, str], list[tuple[int, float]]]:
    from diff_peers import PEERS

    tasks = [
        (name, edits, size, seed)
        for name in PEERS
        for edits in CLASSES
        for size in sizes
        for seed in range(n)
    ]
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for answer in measure.on_all_cores(asked, tasks, chunk=8):
        if answer is not None:
            name, edits, items, ms = answer
            found.setdefault((name, edits), []).append((items, ms))
    print(
        f"\n{'detects / items shown':30}"
        + "".join(f"{edits[:13]:>15}" for edits in CLASSES)
        + f"{'p95 ms':>10}"
    )
    for name, (_, most) in PEERS.items():
        cells, times = [], []
        for edits in CLASSES:
            answers = found[name, edits]
            seen = sum(items > 0 for items, _ in answers) / len(answers)
            cells.append(f"{seen:>7.0%} /{sum(items for items, _ in answers) / len(answers):6.1f}")
            times.extend(ms for _, ms in answers)
        bound = "" if most > max(sizes) else f" (≤ {most} spans)"
        print(
            f"{name + bound:30}"
            + "".join(f"{cell:>15}" for cell in cells)
            + f"{measure.quantile(times, 0.95):10.1f}"
        )
    return found


def sees_all_and_no_more(found: dict[tuple[str, str], list[tuple[int, float]]]) -> None:
    assert {items for items, _ in found["clnrm_nb", "noise only"]} == {0}
    assert any(items for items, _ in found["path + index (re-implemented)", "noise only"])
    for edits in EDITS:
        assert all(items for items, _ in found["clnrm_nb", edits]), edits
    assert not any(items for items, _ in found["Jaeger's paths (re-implemented)", "attr changed"])


@pytest.mark.bench
def test_beside_its_peers_it_sees_every_edit_and_raises_no_alarm():
    sees_all_and_no_more(beside_peers((12,), 6))


@pytest.mark.bench_full
def test_beside_its_peers_it_sees_every_edit_in_many_cases():
    sees_all_and_no_more(beside_peers((16, 25, 40, 90), 18))
