"""Arbitrary bytes through the validator, as many as asked for: ``python tests/fuzz/validator.py --inputs 1000000``.

The law: whatever a file holds, rendering and checking it returns findings and never raises, each finding lies in the
file, and a file without text has an error. Inputs are parts of real templates put together anew, cut, repeated and
spoilt. Every input is made from the seed and its number alone; a failure prints both, and
``--seed S --first N --inputs 1`` shows it again.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from clnrm_nb.template import TemplateRequest, combinations, render
from clnrm_nb.validation import check

ROOT = Path("/nowhere")
FILE = "a.clnrm.toml.tera"
_PARTS = re.compile(rb"\{[{%#][^}]{0,200}[}%#]\}|\[\[?[\w.\" -]+\]\]?|\"[^\"\n]*\"|[\w.-]+|\s+|.", re.DOTALL)
_SPOILERS = (
    b'{{ }} {% %} {# #} " \' ` \\" """ \'\'\' [ ] [[ ]] { } = . , | ~ :: - # \n \r\n \r \t \x00 \xff \xc3 \xed\xa0\x80 \xf0\x9f\x92\xa5 '
    b"\xe2\x80\x8d \\u0041 \\U00110000 \\x 0x 1e999 9223372036854775808 -0 nan inf 1979-05-27T07:32:00Z 07:32 true null "
    b"{%if%} {%for\tx\tin\tsvc%} {%endfor%} {%endif%} {%macro\tf(a)%} {%endmacro%} {{self::f(a=1)}} {%include\t'a'%} [matrix] [vars] "
    b"[determinism] [[scenario]] [expect] [meta] [services.a] seed freeze_clock"
).split(b" ")


def corpus(folders: list[Path]) -> list[bytes]:
    """Texts to start from: own conformance cases, and every template and scenario file below the folders."""
    cases = Path(__file__).parents[1] / "conformance" / "data" / "template" / "cases.jsonl"
    texts = [json.loads(line)["template"].encode() for line in cases.read_bytes().splitlines()]
    for folder in folders:
        texts += [path.read_bytes() for path in sorted(folder.rglob("*.toml*")) if path.is_file()]
    return texts


class Inputs:
    """Input number n of a seed."""

    def __init__(self, texts: list[bytes], seed: int) -> None:
        self.parts = [parts for text in texts if (parts := _PARTS.findall(text))]
        self.seed = seed

    def __getitem__(self, number: int) -> bytes:
        chance = random.Random(f"{self.seed}:{number}")
        kind = chance.randrange(10)
        if kind == 0:
            return chance.randbytes(chance.randrange(200))
        if kind == 1:
            return b"".join(chance.choice(_SPOILERS) for _ in range(chance.randrange(1, 40)))
        parts = list(chance.choice(self.parts))
        start = chance.randrange(len(parts))
        parts = parts[start : start + chance.randrange(1, 300)] if chance.random() < 0.7 else parts[:600]
        for _ in range(chance.randrange(1, 8)):
            self._spoil(parts, chance)
        return b"".join(parts)[:20_000]

    def _spoil(self, parts: list[bytes], chance: random.Random) -> None:
        at = chance.randrange(len(parts) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del parts[at : at + chance.randrange(1, 4)]
        elif kind == 1:
            parts.insert(at, chance.choice(_SPOILERS))
        elif kind == 2:
            other = chance.choice(self.parts)
            begin = chance.randrange(len(other))
            parts[at:at] = other[begin : begin + chance.randrange(1, 30)]
        elif kind == 3:
            parts[at:at] = parts[at : at + 5] * chance.randrange(1, 5)
        elif kind == 4:
            chance.shuffle(parts) if len(parts) < 40 else parts.reverse()
        elif at < len(parts) and parts[at]:
            byte = chance.randrange(len(parts[at]))
            parts[at] = parts[at][:byte] + chance.randbytes(1) + parts[at][byte + 1 :]


def broken_law(content: bytes) -> str | None:
    """What is wrong with the answer to an input; None where nothing is."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "surrogateescape") if len(content) % 2 else content.decode("latin-1")
    request = TemplateRequest(ROOT / FILE, FILE, ROOT, text=text, environ={"HOME": "/h"})
    chosen, _ = combinations(request)
    checked = check(render(request))
    errors = [finding for finding in checked.diagnostics if finding.severity == "error"]
    if not chosen:
        return "no combination, not even one to stand in"
    if checked.rendered.text is None and not errors:
        return "neither a text nor an error"
    if checked.test is not None and errors:
        return "a test beside an error"
    lines = checked.rendered.source.count("\n") + 1
    outside = [one for one in checked.diagnostics if one.file == FILE and not 0 <= (one.line or 0) <= lines]
    return f"a finding outside the file: {outside[0]}" if outside else None


def numbers(arguments: argparse.Namespace) -> Iterator[int]:
    """The numbers of the inputs to run."""
    ends = time.monotonic() + arguments.seconds if arguments.seconds else float("inf")
    for number in range(arguments.first, arguments.first + arguments.inputs):
        if time.monotonic() > ends:
            return
        yield number


def main() -> int:
    """Run; 1 if a law is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("folders", nargs="*", type=Path, help="more templates to start from")
    arguments = parser.parse_args()
    inputs = Inputs(corpus(arguments.folders), arguments.seed)
    broken = count = 0
    slowest = (0.0, 0)
    for number in numbers(arguments):
        started = time.process_time()
        try:
            law = broken_law(inputs[number])
        except Exception as error:  # noqa: BLE001 - that nothing is raised is the law
            law = f"raised {error!r}"
        count += 1
        slowest = max(slowest, (time.process_time() - started, number))
        if law:
            broken += 1
            print(
                f"--seed {arguments.seed} --first {number} --inputs 1: {law}\n  {inputs[number]!r}",
                flush=True,
            )
    print(
        f"{count} inputs of seed {arguments.seed}, {broken} break a law; slowest {slowest[0]:.2f} s: {slowest[1]}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
