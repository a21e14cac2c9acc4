"""What it costs to begin: importing the package, `clnrm --help`, `%load_ext clnrm_nb` (`make bench`)."""

import os
import platform
import statistics
import subprocess
import sys
import time

import pytest
from jupyter_client.manager import KernelManager
from yardstick import slowness, undisturbed

pytestmark = pytest.mark.bench

REPEATS = 11
MOST_IMPORT_MS = 60
MOST_TIMES_CLICK = 2.5
MOST_LOAD_EXT_MS = 60
HEAVY = {"pandas", "plotly", "docker", "ipywidgets", "opentelemetry"}


def machine():
    return f"median of {REPEATS}; {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def python(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def wall_s(code):
    started = time.perf_counter()
    python(code)
    return time.perf_counter() - started


def test_bench_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, time; started = time.perf_counter(); import clnrm_nb; "
        "spent = time.perf_counter() - started; print(spent * 1e3, *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    spent_ms, loaded = [], set()
    for _ in range(REPEATS):
        first, *modules = python(code).split()
        spent_ms.append(float(first))
        loaded |= set(modules)

    median_ms = statistics.median(spent_ms)
    print(f"\nimport clnrm_nb: {median_ms:.1f} ms; {machine()}")
    assert loaded & HEAVY == set()
    assert median_ms <= MOST_IMPORT_MS * slowness(time.perf_counter)


def test_bench_help_costs_little_more_than_importing_click():
    help_code = (
        "import sys; sys.stdout = sys.stderr; from clnrm_nb.cli.main import run_command_line; "
        "raise SystemExit(run_command_line(['--help']))"
    )
    wall_s("import click"), wall_s(help_code)

    def measure():
        pairs = [(wall_s("import click"), wall_s(help_code)) for _ in range(REPEATS)]
        return tuple(statistics.median(pair[side] for pair in pairs) for side in (0, 1))

    click_s, help_s = undisturbed(measure, lambda found: found[1] <= MOST_TIMES_CLICK * found[0])
    print(
        f"\nimport click {click_s * 1e3:.0f} ms, clnrm --help {help_s * 1e3:.0f} ms: {help_s / click_s:.2f} times"
    )
    print(machine())
    assert help_s / click_s <= MOST_TIMES_CLICK


def test_bench_loading_the_extension_in_a_warm_kernel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spent_ms = []
    for _ in range(3):
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(60)
            client.execute_interactive("1 + 1", output_hook=lambda message: None, timeout=30)
            client.execute_interactive(
                "import time; started = time.perf_counter()\n%load_ext clnrm_nb\n"
                "print((time.perf_counter() - started) * 1e3)",
                output_hook=lambda message: (
                    spent_ms.append(float(message["content"]["text"]))
                    if message["msg_type"] == "stream"
                    else None
                ),
                timeout=30,
            )
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)

    median_ms = statistics.median(spent_ms)
    print(f"\n%load_ext clnrm_nb: {median_ms:.1f} ms, median of 3 kernels; {machine()}")
    assert median_ms <= MOST_LOAD_EXT_MS * slowness(time.perf_counter)
