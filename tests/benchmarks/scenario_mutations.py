"""The authoring benchmark's parts: valid scenario templates, and slips whose true place is known.

A slip replaces one line of a base by others and says which code belongs to which line and column. Files carry
one slip, or two to five that stand in different tables and so are independent of each other. Everything comes
from a seed; new kinds are added to the table at the end.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

LIBRARY = """\
{% macro probe(name) %}
[[expect.span]]
name = "{{ name }}"
kind = "internal"
{% endmacro %}
"""
STEPS = """\
[[scenario.steps]]
name = "included"
command = "true"
"""
FILES = {"lib.tera": LIBRARY, "steps.tera": STEPS}

SHOP = """\
# A shop with a database behind it.
[meta]
name = "shop"
version = "1.2"
description = "checkout through the api"
tags = ["shop", "slow"]
timeout = "2m"

[vars]
port = 8080
greeting = "hello"
spans = ["db.read", "db.write"]

[otel]
exporter = "otlp"
sample_ratio = 0.5

[services.db]
plugin = "generic_container"
image = "postgres:16"
ports = ["0:5432"]

[services.db.health_check]
cmd = ["pg_isready"]
interval = "2s"
retries = 3

[services.api]
plugin = "generic_container"
image = "registry.local/shop/api:1.4"
args = ["serve", "--port", "{{ vars.port }}"]
env = { GREETING = "{{ vars.greeting | upper }}", MODE = "test" }
depends_on = ["db"]
wait_for_span = "api.ready"

[[steps]]
name = "migrate"
command = "shop migrate"
service = "api"
expected_exit_code = 0

[[scenario]]
name = "checkout"
service = "api"
run = "curl -s localhost:{{ vars.port }}/checkout"
timeout_ms = 5000

[scenario.artifacts]
collect = ["logs:stdout"]

[[scenario]]
name = "stock"
service = "db"
run = "psql -c 'select 1'"
expect_success = true

[expect.counts]
spans_total = { gte = 2, lte = 40 }

[[expect.span]]
name = "checkout"
kind = "server"
status = "OK"

[[expect.span]]
name = "http.*"
kind = "client"
parent = "checkout"
{% for name in vars.spans %}
[[expect.span]]
name = "{{ name }}"
kind = "client"
{% endfor %}
[expect.graph]
must_include = [["checkout", "db.read"], ["checkout", "db.write"]]
acyclic = true

[expect.order]
must_precede = [["db.read", "db.write"]]

[expect.status]
all = "OK"
"""

FLEET = """\
{% import "lib.tera" as lib %}
[meta]
name = "fleet {{ matrix.size }}"
version = "0.3"
description = "workers of several sizes"

[matrix]
size = ["small", "large"]

[determinism]
seed = 7

[template.vars]
image = "worker:2.1"
limit = 256

[services.queue]
plugin = "generic_container"
image = "redis:7"
{% for n in range(end=3) %}
[services.worker{{ n }}]
plugin = "generic_container"
image = "{{ vars.image }}"
depends_on = ["queue"]
limits = { memory_mb = {{ vars.limit }}, cpu_millicores = 500 }
env = { SIZE = "{{ matrix.size }}" }
{% endfor %}
[[steps]]
name = "fill"
service = "queue"
command = ["redis-cli", "ping"]
timeout = "10s"
expected_output_regex = "^PONG$"

[[steps]]
name = "drain"
service = "worker0"
command = "drain --all"
retry = { max_attempts = 2, delay = "500ms" }
continue_on_failure = true

[[scenario]]
name = "steady"
service = "worker1"
run = "work --n {{ vars.limit * 2 }}"
concurrent = true
{% include "steps.tera" %}
[[scenario]]
name = "burst"
service = "worker2"
run = "work --burst"
timeout_ms = 9000

[cleanup]
containers = "always"
verify_cleanup = true

{{ lib::probe(name="work") }}
[[expect.span]]
name = "drain"
duration_ms = { lte = 900 }

[[expect.window]]
outer = "work"
contains = ["drain"]

[expect.hermeticity]
no_external_services = true
"""

PLAIN = """\
[meta]
name = "plain"
version = "2"
description = "no template at all"
author = "ada"

[services.web]
plugin = "generic_container"
image = "nginx:1.27"
ports = ["0:80"]
workdir = "/srv"
volumes = [{ host_path = "./data", container_path = "/srv/data", read_only = true }]

[services.web.limits]
memory_mb = 128

[services.probe]
plugin = "generic_container"
image = "busybox:1.36"
depends_on = ["web"]
env = { TARGET = "web" }

[[scenario]]
name = "index"
service = "probe"
run = "wget -qO- http://web/"
expect_success = true
priority = 3

[[scenario]]
name = "missing"
service = "probe"
run = "wget -q http://web/none"
expect_failure = true

[scenario.expect.counts]
errors_total = { gte = 1 }

[[scenario]]
name = "several"
service = "web"
concurrent = true

[[scenario.steps]]
name = "first"
command = "sleep 1"
timeout_ms = 3000

[[scenario.steps]]
name = "second"
command = "sleep 1"
should_fail = false

[[expect.span]]
name = "GET /"
kind = "server"
attrs.all = { "http.method" = "GET", "http.status_code" = 200 }

[[expect.span]]
name = "probe"
kind = "client"
events.any = ["retry"]

[expect.graph]
must_include = [["probe", "GET /"]]
max_depth = 6

[expect.status]
all = "OK"
by_name = { "probe" = "OK" }

[limits]
max_containers = 4

[report]
junit = "out/plain.xml"
"""

BASES = {
    "shop": SHOP,
    "fleet": FLEET,
    "plain": PLAIN,
}


@dataclass(frozen=True)
class Slip:
    """A line of a base and what it becomes; the finding is on `row` of the new lines, or on line `at`."""

    kind: str
    code: str
    line: int
    lines: tuple[str, ...]
    column: int
    row: int = 0
    at: int | None = None
    needs: tuple[int, ...] = ()
    """Other lines that must stay as they are for this to be a slip."""


@dataclass(frozen=True)
class Truth:
    kind: str
    code: str
    line: int
    column: int


Maker = Callable[[random.Random, list[str], int], Slip | None]
"""Makes a slip of line `index` (from 0) of a base, or nothing where it does not apply."""


def misspelt(rng: random.Random, word: str) -> str:
    """One letter dropped, doubled, swapped or replaced; never the first one."""
    while True:
        at = rng.randrange(1, len(word) - 1)
        how = rng.randrange(4)
        new = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + rng.choice("qxzj") + word[at + 1 :],
        )[how]
        if new != word:
            return new


def table_of(lines: list[str], index: int) -> int:
    """The line of the header above (or the line itself)."""
    while index >= 0 and not lines[index].startswith("["):
        index -= 1
    return index


FREE = ("[vars]", "[matrix]", "[template.vars]", "[determinism]")


def key_slip(rng, lines, index):
    match = re.match(r"([a-z_]{4,}) = ", lines[index])
    table = lines[table_of(lines, index)]
    if not match or table in FREE or match[1] in ("name", "command", "image"):
        return None
    new = misspelt(rng, match[1])
    return Slip("misspelt key", "CLN301", index, (lines[index].replace(match[1], new, 1),), 1)


def header_slip(rng, lines, index):
    match = re.match(r"\[+(expect|services|scenario|cleanup|report)\]*", lines[index])
    if not match or not re.fullmatch(r"\[+[a-z]+\]+", lines[index]):
        return None
    word = match[1]
    column = lines[index].index(word) + 1
    if word == "scenario":
        return None
    return Slip("misspelt table", "CLN301", index, (lines[index].replace(word, misspelt(rng, word)),), column)


def sub_table_slip(rng, lines, index):
    match = re.fullmatch(r"\[+expect\.(span|graph|counts|order|status|window|hermeticity)\]+", lines[index])
    if not match:
        return None
    column = lines[index].index(match[1]) + 1
    new = lines[index].replace(match[1], misspelt(rng, match[1]))
    return Slip("misspelt table", "CLN301", index, (new,), column)


def value_slip(kind, code, pattern, change):
    """A slip of the value behind a key: `change` gives the new value of the match."""

    def make(rng, lines, index):
        match = re.fullmatch(pattern, lines[index])
        if not match or lines[table_of(lines, index)] in FREE:
            return None
        new = change(rng, match)
        if new is None or new == match["v"]:
            return None
        start = match.start("v")
        return Slip(
            kind, code, index, (lines[index][:start] + new + lines[index][match.end("v") :],), start + 1
        )

    return make


def line_slip(kind, code, pattern, change):
    """A slip of a whole line: `change` gives new line and column of the finding."""

    def make(rng, lines, index):
        match = re.fullmatch(pattern, lines[index])
        changed = change(rng, match) if match and lines[table_of(lines, index)] not in FREE else None
        if changed is None:
            return None
        line, column = changed
        return Slip(kind, code, index, (line,), column)

    return make


def marker_slip(kind, code, pattern, change):
    """A slip inside a marker; the finding is at the marker."""

    def make(rng, lines, index):
        match = re.search(pattern, lines[index])
        if not match:
            return None
        new = change(rng, match)
        line = lines[index][: match.start()] + new + lines[index][match.end() :]
        return Slip(kind, code, index, (line,), match.start() + 1)

    return make


def missing(key, needs_header):
    def make(rng, lines, index):
        header = table_of(lines, index)
        if not lines[index].startswith(f"{key} = ") or not re.fullmatch(needs_header, lines[header]):
            return None
        return Slip("missing key", "CLN304", index, (), 1, at=header)

    return make


def duplicate(rng, lines, index):
    match = re.match(r"([a-z_]+) = ", lines[index])
    if not match or lines[table_of(lines, index)] in FREE or "{{" in lines[index]:
        return None
    return Slip("duplicate key", "CLN202", index, (lines[index], lines[index]), 1, row=1)


def both(rng, lines, index):
    if not lines[index].startswith("env = "):
        return None
    return Slip("two spellings", "CLN309", index, (lines[index], "environment = {}"), 1, row=1)


def quote_lost(rng, match):
    line = match[0]
    return line[:-1], line.index('"') + 1


def scenario_twice(rng, lines, index):
    """The name of the scenario before; that one must stay."""
    match = re.fullmatch(r'name = "(stock|burst|missing)"', lines[index])
    if not match:
        return None
    other = lines.index(
        f'name = "{ {"stock": "checkout", "burst": "steady", "missing": "index"}[match[1]] }"'
    )
    return Slip("scenario twice", "CLN405", index, (lines[other],), 8, needs=(other,))


def dependency_on_itself(rng, lines, index):
    """Two services that wait for each other; the second one closes the circle."""
    match = re.fullmatch(r'depends_on = \["(db|web)"\]', lines[index])
    if not match:
        return None
    owner = re.fullmatch(r"\[services\.(\w+)\]", lines[table_of(lines, index)])[1]
    other = lines.index(f"[services.{match[1]}]")
    line = f'depends_on = ["{match[1]}", "{owner}"]'
    return Slip("dependency on itself", "CLN403", index, (line,), len(match[0]) + 2, needs=(other,))


STRING = r'[a-z_]+ = "[^"{}]*"'
MAKERS: dict[str, list[Maker]] = {
    "misspelt key": [key_slip],
    "misspelt table": [header_slip, sub_table_slip],
    "text for a number": [value_slip("text for a number", "CLN303", r"(?:expected_exit_code|retries|priority|max_depth|memory_mb|max_containers|timeout_ms) = (?P<v>\d+)", lambda r, m: f'"{m["v"]}"')],
    "number for a text": [value_slip("number for a text", "CLN303", r'(?:version|description|author|parent|workdir) = (?P<v>"[^"]*")', lambda r, m: str(r.randrange(1, 99)))],
    "text for a boolean": [value_slip("text for a boolean", "CLN303", r"[a-z_]+ = (?P<v>true|false)", lambda r, m: f'"{m["v"]}"')],
    "text for an array": [value_slip("text for an array", "CLN303", r'(?:tags|depends_on|collect|contains) = (?P<v>\["(?P<w>[^"]*)".*\])', lambda r, m: f'"{m["w"]}"')],
    "float for a whole number": [value_slip("float for a whole number", "CLN303", r"(?:retries|priority|max_depth|timeout_ms|memory_mb) = (?P<v>\d+)", lambda r, m: f"{m['v']}.0")],
    "missing key": [missing("version", r"\[meta\]"), missing("name", r"\[\[(steps|scenario|scenario\.steps)\]\]"), missing("command", r"\[\[(scenario\.)?steps\]\]")],
    "unknown service": [value_slip("unknown service", "CLN401", r'service = (?P<v>"(?P<w>[a-z]+[0-9]?)")', lambda r, m: f'"{misspelt(r, m["w"])}x"' if len(m["w"]) > 3 else f'"{m["w"]}s"')],
    "unknown dependency": [line_slip("unknown dependency", "CLN401", r'depends_on = \["([a-z]+)"\]', lambda r, m: (f'depends_on = ["{m[1]}s"]', 15))],
    "no such word": [value_slip("no such word", "CLN306", r'kind = (?P<v>"(?P<w>\w+)")', lambda r, m: f'"{misspelt(r, m["w"])}"'), value_slip("no such word", "CLN306", r'(?:exporter|containers) = (?P<v>"(?P<w>\w+)")', lambda r, m: f'"{misspelt(r, m["w"])}"')],
    "bad regex": [value_slip("bad regex", "CLN314", r'expected_output_regex = (?P<v>"[^"]*")', lambda r, m: r.choice(['"(ok"', '"[a-"', '"*x"']))],
    "bad glob": [value_slip("bad glob", "CLN315", r'name = (?P<v>"http\.\*")', lambda r, m: r.choice(['"http.[*"', '"a[b"']))],
    "bad duration": [value_slip("bad duration", "CLN312", r'(?:timeout|interval) = (?P<v>"[^"]*")', lambda r, m: r.choice(['"5 secnds"', '"2 minuts"', '"10S"', '"5 parsecs"', '"soon"']))],
    "out of range": [value_slip("out of range", "CLN307", r"sample_ratio = (?P<v>[\d.]+)", lambda r, m: r.choice(["1.5", "-0.5", "50"])), value_slip("out of range", "CLN307", r"(?:retries|max_depth|timeout_ms|memory_mb|max_containers) = (?P<v>\d+)", lambda r, m: f"-{m['v']}")],
    "bad image": [value_slip("bad image", "CLN416", r'image = (?P<v>"(?P<w>[a-z][^"{]*)")', lambda r, m: f'"{m["w"].capitalize() if "/" not in m["w"] else m["w"].replace("/", "/ ", 1)}"')],
    "bad artifact": [line_slip("bad artifact", "CLN316", r'collect = \["logs:stdout"\]', lambda r, m: (f'collect = ["{r.choice(["log:stdout", "logs:stdot", "lgos:all"])}"]', 12))],
    "edge of three": [line_slip("edge of three", "CLN318", r'(must_\w+ = \[)\["([^"]*)", "([^"]*)"\](.*)', lambda r, m: (f'{m[1]}["{m[2]}", "{m[3]}", "{m[2]}"]{m[4]}', len(m[1]) + 1))],
    "limits the wrong way round": [line_slip("limits the wrong way round", "CLN319", r"spans_total = \{ gte = 2, lte = 40 \}", lambda r, m: ("spans_total = { gte = 40, lte = 2 }", 23))],
    "older spelling": [line_slip("older spelling", "CLN308", r"env = (.*)", lambda r, m: (f"environment = {m[1]}", 1)), line_slip("older spelling", "CLN308", r"plugin = (.*)", lambda r, m: (f"type = {m[1]}", 1)), line_slip("older spelling", "CLN308", r'(status|all) = "OK"', lambda r, m: (f'{m[1]} = "ok"', len(m[1]) + 4))],
    "two spellings": [both],
    "other plugin": [value_slip("other plugin", "CLN321", r'plugin = (?P<v>"generic_container")', lambda r, m: r.choice(['"docker"', '"node"', '"container"']))],
    "duplicate key": [duplicate],
    "quote lost": [line_slip("quote lost", "CLN201", STRING, quote_lost)],
    "bracket lost": [line_slip("bracket lost", "CLN201", r"([a-z_]+ = )(\[.*)\]", lambda r, m: (m[0][:-1], len(m[1]) + 1) if "{{" not in m[0] else None)],
    "brace lost": [line_slip("brace lost", "CLN201", r"((?:spans_total|errors_total|duration_ms|retry|by_name) = )(\{.*)\}", lambda r, m: (m[0][:-1].rstrip(), len(m[1]) + 1))],
    "equals lost": [line_slip("equals lost", "CLN201", r'([a-z_]+) = ("[^"{}]*")', lambda r, m: (f"{m[1]} {m[2]}", len(m[1]) + 2))],
    "value without quotes": [value_slip("value without quotes", "CLN201", r'(?:exporter|kind|status|plugin|parent|author) = (?P<v>"(?P<w>[a-zA-Z_]+)")', lambda r, m: m["w"])],
    "header not closed": [line_slip("header not closed", "CLN201", r"(\[[a-z.]+)\]", lambda r, m: (m[1], len(m[1]) + 1) if not m[1].startswith(("[meta", "[otel")) else None)],
    "comma lost": [line_slip("comma lost", "CLN201", r'(.*\["[^"{]*"), ("[^"{]*".*)', lambda r, m: (f"{m[1]} {m[2]}", len(m[1]) + 2))],
    "number too large": [value_slip("number too large", "CLN204", r"(?:priority|max_depth|timeout_ms|memory_mb) = (?P<v>\d+)", lambda r, m: "9" * 25)],
    "undefined variable": [marker_slip("undefined variable", "CLN102", r"\{\{ vars\.(\w+)[^}]*\}\}", lambda r, m: m[0].replace(m[1], misspelt(r, m[1]), 1)), marker_slip("undefined variable", "CLN102", r"\{\{ matrix\.(\w+) \}\}", lambda r, m: m[0].replace(m[1], misspelt(r, m[1])))],
    "unknown filter": [marker_slip("unknown filter", "CLN103", r"\{\{ vars\.(greeting|image)(?: \| upper)? \}\}", lambda r, m: "{{ vars." + m[1] + " | " + r.choice(["uper", "tirm", "lowercase", "triim"]) + " }}")],
    "marker not closed": [marker_slip("marker not closed", "CLN101", r"\{\{ vars\.\w+ \}\}", lambda r, m: m[0][:-1])],
    "unknown statement": [marker_slip("unknown statement", "CLN101", r"\{% include (.*) %\}", lambda r, m: f"{{% {r.choice(['inclde', 'incude', 'includ'])} {m[1]} %}}")],
    "no such file": [marker_slip("no such file", "CLN107", r'\{% include "steps.tera" %\}', lambda r, m: '{% include "stepps.tera" %}')],
    "blank expression": [marker_slip("blank expression", "CLN110", r"\{\{ vars\.\w+ \}\}", lambda r, m: "{{ }}")],
    "unknown span": [line_slip("unknown span", "CLN414", r'(must_\w+ = \[\[)"([a-zA-Z./ ]{4,})"(.*)', lambda r, m: (f'{m[1]}"{misspelt(r, m[2])}"{m[3]}', len(m[1]) + 1) if " " not in m[2] else None)],
    "scenario twice": [scenario_twice],
    "dependency on itself": [dependency_on_itself],
}  # fmt: skip


def slips_of(rng: random.Random, kind: str, lines: list[str], taken: set[int]) -> list[Slip]:
    """Every slip of a kind that a base allows outside the tables in `taken`."""
    return [
        slip
        for make in MAKERS[kind]
        for index in range(len(lines))
        if (slip := make(rng, lines, index)) is not None
        and not taken & {table_of(lines, line) for line in (index, *slip.needs)}
    ]


def mutate(seed: int, count: int) -> tuple[str, str, list[Truth]]:
    """A base with `count` independent slips: its name, the text, and what is true of it."""
    rng = random.Random(f"scenario {seed}")
    kinds = list(MAKERS)
    while True:
        name = rng.choice(list(BASES))
        lines = BASES[name].split("\n")
        chosen: list[Slip] = []
        taken: set[int] = set()
        wanted = [kinds[seed % len(kinds)], *rng.sample(kinds, len(kinds))]
        for kind in wanted:
            if len(chosen) == count:
                break
            found = slips_of(rng, kind, lines, taken)
            if found:
                slip = rng.choice(found)
                chosen.append(slip)
                taken.update(table_of(lines, line) for line in (slip.line, *slip.needs))
            elif not chosen:
                break
        if len(chosen) == count:
            return name, *composed(lines, chosen)


def composed(lines: list[str], slips: list[Slip]) -> tuple[str, list[Truth]]:
    by_line = {slip.line: slip for slip in slips}
    made: list[str] = []
    where: dict[int, int] = {}
    for index, line in enumerate(lines):
        where[index] = len(made)
        made += by_line[index].lines if index in by_line else (line,)
    truths = []
    for slip in slips:
        line = where[slip.at] if slip.at is not None else where[slip.line] + slip.row
        truths.append(Truth(slip.kind, slip.code, line + 1, slip.column))
    return "\n".join(made), truths
