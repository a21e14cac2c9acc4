"""What masking costs beside the plainest way to do it: one ``str.replace`` for each form of each secret.

The peer knows five forms (plain, base64, URL, JSON, hex) and none of the alignments of base64, mixed or
nested escapes, wrapped text or keys of attributes that we look for. Same text, same process, in turns.
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import string
import time
from urllib.parse import quote

import pytest

from clnrm_nb.executor.masking import mask_spans
from clnrm_nb.secrets import MASK, Masker
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

pytestmark = pytest.mark.bench

N_SECRETS = 20
OUTPUT_BYTES, ROUNDS = 10_000_000, 10
N_SPANS = 20_000
REPEATS = 5
MOST_S = 1.0
MOST_RATIO = 5.0


def made_secrets(chance):
    letters = string.ascii_letters + string.digits + "+/%-_="
    return ["".join(chance.choices(letters, k=chance.choice([8, 16, 32, 64, 200]))) for _ in range(N_SECRETS)]


def made_output(chance, planted):
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9))) for _ in range(3000)]
    lines, size = [], 0
    while size < OUTPUT_BYTES // ROUNDS:
        line = " ".join(chance.choices(words, k=12))
        if planted and len(lines) % 40 == 0:
            line += chance.choice(planted)
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines * ROUNDS)


def replacing(secrets):
    forms = set()
    for secret in secrets:
        raw = secret.encode()
        forms |= {
            secret,
            base64.b64encode(raw).decode(),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            raw.hex(),
        }
    ordered = sorted(forms, key=len, reverse=True)

    def mask(text):
        for form in ordered:
            text = text.replace(form, MASK)
        return text

    return mask


def medians(*works):
    spent = [[] for _ in works]
    for _ in range(REPEATS):
        for times, work in zip(spent, works, strict=True):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    return [statistics.median(times) for times in spent]


@pytest.mark.parametrize("kind", ["clean", "leaking"])
def test_ten_megabytes_are_masked_in_well_under_a_second(kind, capsys):
    chance = random.Random(1)
    secrets = made_secrets(chance)
    told = [*secrets, *(base64.b64encode(f"user:{secret}".encode()).decode() for secret in secrets)]
    output = made_output(chance, told if kind == "leaking" else ())
    masker, peer = Masker(secrets), replacing(secrets)

    ours_s, peer_s = medians(lambda: masker.text(output), lambda: peer(output))

    with capsys.disabled():
        print(
            f"\nmasking {kind} 10 MB, {N_SECRETS} secrets: {ours_s * 1e3:.0f} ms; "
            f"str.replace of five forms {peer_s * 1e3:.0f} ms; ratio {ours_s / peer_s:.2f}"
        )
    masked = masker.text(output)
    assert not [secret for secret in secrets if secret in masked]
    assert ours_s / peer_s <= MOST_RATIO
    assert ours_s <= MOST_S


def test_spans_without_secrets_cost_little(capsys):
    chance = random.Random(2)
    secrets = made_secrets(chance)
    resource = Resource({"service.name": "shop"})
    table = SpanTable(
        Span(
            "a" * 32,
            f"{number:016x}",
            f"GET /items/{number % 20}",
            attributes={f"key.{index}": f"value {number} {index}" for index in range(10)},
            resource=resource,
        )
        for number in range(N_SPANS)
    )
    masker, peer = Masker(secrets), replacing(secrets)

    def by_hand():
        for attributes in table.attributes:
            for value in attributes.values():
                peer(value)

    ours_s, peer_s = medians(lambda: mask_spans(table, masker), by_hand)

    with capsys.disabled():
        print(
            f"\nmasking {N_SPANS:,} spans of 10 attributes, {N_SECRETS} secrets: {ours_s / N_SPANS * 1e6:.1f} us a span; "
            f"str.replace on each value {peer_s / N_SPANS * 1e6:.1f} us; ratio {ours_s / peer_s:.2f}"
        )
    assert ours_s <= peer_s
