"""What a person waits for while writing: render, parse and validate (issue 4); `make bench`.

Times are of the processor, medians, warm and in this process; "edited" is the same file with a change, which no cache
of compiled templates knows. Beside them: plain Jinja2 with a TOML parser, and two TOML linters on the *rendered*
text where they are installed (`pip install tombi taplo`), as neither knows templates.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest
from yardstick import slowness

from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import Checked, check

pytestmark = pytest.mark.bench

FILE = "a.clnrm.toml.tera"
REPEATS = {60: 51, 2_000: 9}
MOST_MS = {(60, 0): 2, (2_000, 0): 30, (60, 10): 5, (2_000, 10): 80}
MOST_COLD_S, MOST_COLD_MB = 4, 300

HEAD = """\
[vars]
svc = "checkout"
region = "{{ env | default(value="ci") }}-eu"

[meta]
name = "{{ svc }}-{{ region }}"
version = "1.0.0"
description = "the checkout path answers and says so"
tags = ["{{ svc }}", "smoke"]

[determinism]
seed = 42
freeze_clock = "2025-01-01T00:00:00Z"

[otel]
exporter = "otlp"
sample_ratio = 1.0

[services.api]
plugin = "generic_container"
image = "{{ image }}"
env = { REGION = "{{ region }}", CASE = "{{ svc | upper }}" }
"""
SCENARIO = """
[[scenario]]
name = "{{ svc }}_NUMBER"
service = "api"
# one request and its answer
run = ["demo", "--case", "{{ svc | replace(from="ck", to="NUMBER") }}"]
timeout_ms = 30000

[[expect.span]]
name = "{{ svc }}.request.NUMBER"
kind = "server"
attrs.all = { "http.method" = "GET", "http.route" = "/cart/NUMBER" }

[[expect.span]]
name = "{{ svc }}.db.NUMBER"
parent = "{{ svc }}.request.NUMBER"
{% if svc %}kind = "client"{% endif %}
duration_ms = { gte = 0, lte = 5000 }
"""
TAIL = """
{% for name in ["pay", "ship"] -%}
[[expect.span]]
name = "{{ svc }}.{{ name }}"
kind = "internal"

{% endfor -%}
[expect.counts]
spans_total = { gte = 1 }

[expect.status]
all = "OK"
"""
MISTAKES = (
    '\n[[scenario]]\nname = "bad0"\nservce = 1\nrun = "echo"\n',
    '\n[[scenario]]\nname = "bad1"\nrun = ["x"]\ntimeout_ms = "soon"\n',
    '\n[[scenario]]\nname = "bad2"\nrun = ["x"]\nservice = "nope"\n',
    '\n[[expect.span]]\nname = "bad3"\nkind = "servr"\n',
    '\n[[expect.span]]\nname = "bad4"\nduration_ms = { gte = 5, lte = 2 }\n',
    '\n[[expect.span]]\nname = "bad5[a"\n',
    '\n[[scenario]]\nname = ""\nrun = ["x"]\n',
    '\n[[scenario]]\nname = "bad7"\nrun = "a \'b"\n',
    '\n[[expect.span]]\nnme = "bad8"\n',
    '\n[[expect.window]]\nouter = 3\ncontains = ["a"]\n',
)


def source(lines: int, mistakes: int = 0) -> str:
    """A file of about that many lines."""
    wrong = "".join(MISTAKES[:mistakes])
    fixed = sum(part.count("\n") for part in (HEAD, TAIL, wrong))
    count = max((lines - fixed) // SCENARIO.count("\n"), 1)
    return HEAD + "".join(SCENARIO.replace("NUMBER", str(n)) for n in range(count)) + TAIL + wrong


def checked(text: str) -> Checked:
    root = Path("/nowhere")
    return check(render(TemplateRequest(root / FILE, FILE, root, text=text)))


def median_ms(body: Callable[[int], object], repeats: int) -> float:
    spent = []
    for number in range(repeats):
        started = time.process_time()
        body(number)
        spent.append((time.process_time() - started) * 1e3)
    return statistics.median(spent)


def machine(repeats: int) -> str:
    return f"median of {repeats}; {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


@pytest.mark.parametrize(("lines", "mistakes"), MOST_MS)
def test_bench_render_parse_and_validate(lines: int, mistakes: int) -> None:
    text = source(lines, mistakes)
    found = [one for one in checked(text).diagnostics if one.severity in ("error", "warning")]

    warm = median_ms(lambda _: checked(text), REPEATS[lines])
    edited = median_ms(lambda number: checked(f"{text}# {number}\n"), REPEATS[lines])

    print(f"\n{text.count(chr(10))} lines, {len(found)} findings: {warm:.2f} ms, edited {edited:.2f} ms")
    most_ms = MOST_MS[lines, mistakes] * slowness()
    print(f"{machine(REPEATS[lines])}; goal {MOST_MS[lines, mistakes]} ms, {most_ms:.1f} on this machine now")
    assert len(found) >= mistakes
    assert bool(found) == bool(mistakes)
    assert warm <= most_ms


def test_bench_against_plain_jinja_and_toml() -> None:
    text = source(2_000)
    plain = text.replace("(value=", "(").replace("(from=", "(").replace(", to=", ", ")
    names = {"svc": "checkout", "region": "ci-eu", "image": "a:1"}
    template = jinja2.Environment(autoescape=True).from_string(plain)

    ours = median_ms(lambda _: checked(text), REPEATS[2_000])
    theirs = median_ms(lambda _: tomllib.loads(template.render(**names)), REPEATS[2_000])

    print(
        f"\n2,000 lines: {ours:.1f} ms with all checks; plain Jinja2 and tomllib, no checks: {theirs:.1f} ms"
    )
    print(f"ratio {ours / theirs:.2f}; {machine(REPEATS[2_000])}")


@pytest.mark.parametrize("linter", ["tombi", "taplo"])
def test_bench_against_a_toml_linter_on_the_rendered_text(linter: str, tmp_path: Path) -> None:
    # Beside this Python first: `make` calls it by its path.
    program = shutil.which(linter, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"`{linter}` is not installed: `pip install {linter}`")
    for number in range(100):
        text = checked(source(60).replace("checkout", f"checkout{number}")).rendered.text
        (tmp_path / f"t{number}.toml").write_text(text or "")
    options = ["--offline"] if linter == "tombi" else []
    ours = cpu_s([sys.executable, "-m", "clnrm_nb", "validate", "."], tmp_path / "none", count=100)

    theirs = min(
        _cpu_s([program, "lint", *options, *sorted(p.name for p in tmp_path.glob("*.toml"))], tmp_path)
        for _ in range(3)
    )

    print(
        f"\n100 files: `clnrm validate` of the templates {ours:.2f} s, `{linter} lint` of the rendered {theirs:.2f} s"
    )
    print(f"ratio {ours / theirs:.1f}; processor time, both cold; {machine(3)}")


def cpu_s(command: list[str], folder: Path, *, count: int) -> float:
    folder.mkdir()
    write_templates(folder, count)
    return _cpu_s(command, folder)


def write_templates(folder: Path, count: int) -> None:
    (folder / "cleanroom.toml").write_text("")
    for number in range(count):
        (folder / f"t{number:04}.clnrm.toml.tera").write_text(
            source(60).replace("checkout", f"checkout{number}")
        )


def _cpu_s(command: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_bench_validating_a_thousand_templates_from_the_shell(tmp_path: Path) -> None:
    write_templates(tmp_path, 1_000)
    code = (
        "import resource, sys; from clnrm_nb.cli.main import run_command_line as run; code = run(['validate', '.']);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr); sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    cpu, peak_mb = map(float, done.stderr.split()[-2:])
    print(f"\n1,000 templates, cold: {cpu:.2f} s of processor time, {peak_mb:.0f} MB; {machine(1)}")
    assert cpu <= MOST_COLD_S * slowness()
    assert peak_mb <= MOST_COLD_MB
