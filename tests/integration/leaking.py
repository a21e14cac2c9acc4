"""A program under test that tells everything it knows, in every way and on every channel.

``leaking.py OUT`` prints, exports spans and writes a file into OUT; with ``serve`` before it, it first says
so and then stays; with ``die`` it ends with 1 after its last words.
"""

import base64
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote, quote_plus

NAMES = sorted(name for name in os.environ if name.startswith("PLANTED_"))
SECRETS = [os.environ[name] for name in NAMES]


def forms(secret):
    raw = secret.encode()
    yield secret
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    for user in ("a", "ab", "abc"):
        yield "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
    yield base64.encodebytes(b"x" * 50 + raw * 3).decode()
    yield quote(secret, safe="")
    yield quote(secret, safe="").replace("%2F", "%2f")
    yield quote_plus(secret)
    yield json.dumps({"password": secret})
    yield json.dumps({"password": secret}, ensure_ascii=False)
    yield json.dumps(json.dumps([secret]))
    yield raw.hex()
    yield repr(secret)


EVERYTHING = [form for secret in SECRETS for form in forms(secret)]


def say(stream, *, in_halves=False):
    for text in EVERYTHING:
        half = len(text) // 2 if in_halves else len(text)
        for piece in (text[:half], text[half:] + "\n"):
            stream.buffer.write(piece.encode())
            stream.buffer.flush()


def value(item):
    if isinstance(item, dict):
        return {"kvlistValue": {"values": attributes(item)}}
    if isinstance(item, list):
        return {"arrayValue": {"values": [value(inner) for inner in item]}}
    return {"stringValue": item} if isinstance(item, str) else {"intValue": str(item)}


def attributes(table):
    return [{"key": key, "value": value(item)} for key, item in table.items()]


def changing():
    """Tell another thing as soon as there is a file beside this one."""
    return {"changed": SECRETS} if Path(__file__).with_name("changed").exists() else {"as": "ever"}


def span(number, secret, trace, parent):
    told = list(forms(secret))
    now = time.time_ns()
    nested = {"list": [told[0], [told[1]]], "deep": {"deeper": {told[0]: told[3]}}, "number": 7}
    return {
        "traceId": trace,
        "spanId": f"{os.getpid() & 0xFFFF:04x}{number:012x}",
        "parentSpanId": parent,
        "name": f"login with {told[0]}",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1000),
        "attributes": attributes(
            {
                **changing(),
                "told": told[0],
                "nested": nested,
                f"key {told[7]}": 1,
                **{f"f{i}": t for i, t in enumerate(told)},
            }
        ),
        "events": [
            {"name": f"tried {told[0]}", "timeUnixNano": str(now), "attributes": attributes({"e": told[3]})}
        ],
        "links": [{"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": attributes({"l": told[1]})}],
        "status": {"code": 2, "message": f"denied: {told[10]}"},
    }


def export():
    _, trace, parent, _ = os.environ["TRACEPARENT"].split("-")
    blocks = [
        {
            "resource": {"attributes": attributes({"service.name": "leaking", "r": secret})},
            "scopeSpans": [
                {
                    "scope": {"name": f"lib {secret}", "version": secret},
                    "spans": [span(number, secret, trace, parent)],
                }
            ],
        }
        for number, secret in enumerate(SECRETS, 1)
    ]
    request = urllib.request.Request(
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces",
        json.dumps({"resourceSpans": blocks}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def write(place):
    place.mkdir(parents=True, exist_ok=True)
    (place / "kept.txt").write_text("\n".join(EVERYTHING), encoding="utf-8")
    safe = next(secret for secret in SECRETS if secret.isalnum())
    (place / f"token-{safe}.bin").write_bytes(b"\x00\xff" + safe.encode() + b"\xfe")


def main(words):
    say(sys.stdout)
    say(sys.stderr, in_halves=True)
    if "die" in words:
        sys.exit(1)
    export()
    write(Path(words[-1]))
    if "serve" in words:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("ready", flush=True)
        signal.pause()


main(sys.argv[1:])
