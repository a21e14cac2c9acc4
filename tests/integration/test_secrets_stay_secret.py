"""Twenty secrets planted in a program that tells them in every way: none comes out of any channel."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import traceback
import zlib
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.report.render import render_report
from clnrm_nb.secrets import MASK, Masker

SECRETS = [
    "hunter2", "correct horse battery staple", "S3cr3tT0kenOfAda", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    'say "please" now', "it's \\ a \\\\ path", "50%+10%=60%", "a/b/c//d?e=f&g#h", "AKIA/wJalrXUtnFEMI+K7MDENG==",
    "пароль-и-ключ", "pässwörd-für-Ängström", "🔑🗝️ keys of 🐧", "tab\tund\nzweite-zeile\ndritte-zeile", "<script>alert('x')</script>",
    "%2Falready%2Fencoded", "  padded with spaces  ", "$HOME/`id`/$(whoami)", "!@#$%^&*()_+-=[]{}|;:,.<>?", "four",
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n" * 40 + "-----END PRIVATE KEY-----\n",
]  # fmt: skip
PLANTED = {f"PLANTED_{number:02}": secret for number, secret in enumerate(SECRETS)}
READ = "read-by-the-template-only"
BIG = "q7" * 20

TEST = """
[meta]
name = "leaks"
version = "1"
[secrets]
env = {names}
[services.leaky]
image = "none"
args = {serve}
wait_log_message = "^ready$"
[[scenario]]
name = "tells"
artifacts = {{collect = ["files:out/*", "spans:all", "logs:all"]}}
run = {once}
[[scenario]]
name = "fails"
[[scenario.steps]]
name = "quotes"
command = {dies}
[[scenario.steps]]
name = "given"
command = ["{python}", "-c", "import sys; print(sys.argv)", "{{{{ env(name='API_TOKEN') }}}}"]
expected_output_contains = "{{{{ env(name='API_TOKEN') }}}} and more"
{expect}
[report]
json = "r/report.json"
junit = "r/report.xml"
html = "r/report.html"
markdown = "r/report.md"
digest = "r/digest"
"""
EXPECT = """
[[expect.span]]
name = "login with*"
match = "all"
status = "ok"
attrs.all = {told = "{{ env(name='API_TOKEN') }}"}
[expect.counts]
errors_total = 0
by_name = {"{{ env(name='API_TOKEN') }}" = 3}
[expect.status]
all = "OK"
"""
DEAD = """
[meta]
name = "dead"
version = "1"
[secrets]
env = {names}
[services.dead]
image = "none"
args = {dies}
wait_log_message = "never"
[[steps]]
name = "x"
command = "true"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project with a run behind it; the environment holds the secrets."""
    root = tmp_path_factory.mktemp("secrets")
    (root / ".clnrm").mkdir()
    shutil.copy(Path(__file__).with_name("leaking.py"), root / "leaking.py")
    command = [sys.executable, str(root / "leaking.py")]
    words = {
        "names": json.dumps(list(PLANTED)),
        "serve": json.dumps([*command, "serve", "out"]),
        "once": json.dumps([*command, "out"]),
        "dies": json.dumps([*command, "die", "out"]),
        "python": sys.executable,
        "expect": EXPECT,
    }
    (root / "leaks.clnrm.toml.tera").write_text(TEST.format(**words))
    (root / "dead.clnrm.toml").write_text(DEAD.format(**words))
    with pytest.MonkeyPatch.context() as patch:
        for name, secret in PLANTED.items():
            patch.setenv(name, secret)
        patch.setenv("API_TOKEN", READ)
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def told(place):
    """A run with everything there is, another one accepted before: its result, its events."""
    clnrm_nb.run(place, backend="process")
    accepted = api.baseline_accept(accept_all=True, force=True, message="first")
    assert len(accepted.frame)
    (place / "changed").touch()
    events = []
    result = clnrm_nb.run(
        place, backend="process", baseline=True, update_baseline=True, listener=events.append, digest=True
    )
    return result, events


def forms(secret):
    """What must not be found, in clear or encoded; a secret's lines too where it has several."""
    for part in {secret.strip(), *(line.strip() for line in secret.splitlines())}:
        raw = part.encode()
        yield from (part, raw.hex(), quote(part, safe=""), quote_plus(part), json.dumps(part)[1:-1])
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield re.sub("%..", lambda code: code[0].lower(), quote(part, safe=""))


FORMS = sorted({form for secret in [*SECRETS, READ] for form in forms(secret)}, key=len)
CORES = [
    base64.b64encode(bytes(offset) + secret.strip().encode())[-(-8 * offset // 6) : (8 * (offset + len(secret.strip().encode()))) // 6].decode()
    for secret in [*SECRETS, READ]
    for offset in range(3)
]  # fmt: skip


def leaks(text):
    """Forms of secrets that stand in a text, or in what it means as JSON, HTML or XML."""
    found = set()
    for reading in {
        text,
        html.unescape(text),
        text.replace("\\\\", "\\"),
        re.sub(r'\\(["\\/])', r"\1", text),
    }:
        found |= {form for form in FORMS if form in reading}
        compact = re.sub(r"\s|\\n", "", reading).replace("-", "+").replace("_", "/")
        found |= {core for core in CORES if core in compact}
    # "four" is a word of ours too; only where the program said it does it count.
    return {form for form in found if form != "four" or re.search(r"with four\b|\['four'\]|\"four\"", text)}


def test_the_search_finds_what_is_there():
    for secret in SECRETS:
        basic = base64.b64encode(f"ab:{secret}".encode()).decode()

        assert leaks(f"with {secret} x")
        assert leaks(json.dumps({"x": f"with {secret}"}))
        assert leaks(f"<p>with {html.escape(secret)}</p>")
        assert secret == "four" or leaks(f"Basic {basic}")


def test_the_program_told_everything(told):
    result, _ = told

    (test,) = [test for test in result.raw["data"]["tests"] if test["name"] == "leaks"]
    (tells,) = [one for one in test["scenarios"] if one["name"] == "tells"]
    command = tells["commands"][0]
    assert (command["exit_code"], command["status"]) == (0, "passed")
    assert command["stdout"].count(MASK) >= 15 * len(SECRETS)
    assert command["stderr"].count(MASK) >= 15 * len(SECRETS)
    names = result.spans.frame.name.tolist()
    assert names.count(f"login with {MASK}") >= len(SECRETS) - 2
    assert {"failed"} == {test["status"] for test in result.raw["data"]["tests"]}


ALL_FORMS = ["human", "json", "junit", "tap", "github", "html", "markdown"]
REPORTS = [
    *(("result", form) for form in ALL_FORMS),
    *(("spans", form) for form in ("human", "json", "html")),
    *(("diff", form) for form in ("human", "json", "html", "markdown")),
]


@pytest.mark.parametrize(("part", "form"), REPORTS)
def test_no_secret_in_any_report(told, part, form):
    shown = told[0] if part == "result" else getattr(told[0], part)

    text = render_report(shown, form, verbose=True, width=400)

    assert leaks(text) == set()
    assert MASK in text


def test_no_secret_in_what_a_notebook_keeps(told):
    result = told[0]
    bundles = [
        result._repr_mimebundle_(),
        result.spans._repr_mimebundle_(),
        result.diff._repr_mimebundle_(),
        api.render("leaks.clnrm.toml.tera", show_vars=True)._repr_mimebundle_(),
        api.validate(".")._repr_mimebundle_(),
        api.dry_run(".", backend="process")._repr_mimebundle_(),
        api.spans("leaks.clnrm.toml.tera")._repr_mimebundle_(),
        api.graph("leaks.clnrm.toml.tera")._repr_mimebundle_(),
        api.analyze("leaks.clnrm.toml.tera")._repr_mimebundle_(),
    ]

    for bundle in bundles:
        for kind, content in bundle.items():
            text = content if isinstance(content, str) else json.dumps(content)
            assert (kind, leaks(text)) == (kind, set())


def test_no_secret_in_frames_and_in_what_objects_say_of_themselves(told):
    result, events = told
    frames = [
        result.frame,
        result.events,
        result.expectations,
        result.diagnostics,
        result.spans.frame,
        result.diff.frame,
    ]
    shown = [frame.to_csv() for frame in frames]
    shown += [
        repr(result),
        str(result),
        repr(result.outcomes),
        repr(result.spans),
        repr(result.diff),
        repr(events),
    ]

    assert [leaks(text) for text in shown] == [set()] * len(shown)


def test_no_secret_in_the_views_of_a_trace(told):
    spans = told[0].spans

    views = [spans.tree(), spans.waterfall(), spans.flame(), spans.critical_path(), told[0].diff.tree()]
    shown = [
        view if isinstance(view, str) else view.to_json() if hasattr(view, "to_json") else repr(view)
        for view in views
    ]

    assert [leaks(text) for text in shown] == [set()] * len(shown)


def unpacked(data):
    """`data` as text, compressed or not."""
    with contextlib.suppress(zlib.error):
        data = zlib.decompress(data)
    return data.decode("utf-8", "replace")


def contents(root):
    """Every file below a directory, and what is packed in it."""
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name in ("leaking.py", "key") or path.suffix in (".db-wal", ".db-shm"):
            continue
        name = path.relative_to(root)
        yield name, path.name
        yield name, unpacked(path.read_bytes())
        if path.name == "state.db":
            yield from ((name, cell) for cell in cells(path))


def cells(database):
    with sqlite3.connect(database) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from (unpacked(cell) if isinstance(cell, bytes) else str(cell) for cell in row)


def test_no_secret_in_any_file_of_the_project(told, place):
    found = {path: leaks(text) for path, text in contents(place) if leaks(text)}
    seen = {str(path) for path, _ in contents(place)}

    assert found == {}
    artifacts = ".clnrm/artifacts/leaks.clnrm.toml.tera"
    assert {"r/report.json", "r/report.xml", "r/report.html", "r/report.md", "r/digest"} <= seen
    assert {f"{artifacts}/{name}" for name in (
        "recording.json", "spans.json", "tells/stdout.log", "tells/stderr.log", "tells/spans-all.json",
        "services/leaky.stdout.log", "services/leaky.stderr.log",
    )} <= seen  # fmt: skip
    copied = [name for name in seen if name.startswith(f"{artifacts}/tells/files/")]
    assert any(name.endswith("kept.txt") for name in copied)
    assert any(name.endswith(f"token-{MASK}.bin") for name in copied)
    assert any(name.endswith("runs.ndjson") for name in seen)
    assert (place / artifacts / "tells").is_dir()


def test_baselines_and_decisions_hold_no_secret(told, place):
    kept = list((place / ".clnrm" / "baselines").rglob("*.json"))

    assert len(kept) >= 2
    assert [leaks(path.read_text()) for path in kept] == [set()] * len(kept)
    assert [MASK in path.read_text() for path in kept if "tells" in path.name] == [True]


def test_no_secret_in_the_last_words_of_a_service_that_died(told):
    (test,) = [test for test in told[0].raw["data"]["tests"] if test["name"] == "dead"]

    (finding,) = [one for one in test["diagnostics"] if one["code"] == "CLN603"]

    assert "last log lines" in finding["hint"]
    assert leaks(json.dumps(finding)) == set()
    assert MASK in finding["hint"]


def clnrm(*words, **environ):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environ},
    )


@pytest.mark.parametrize(("log", "file"), [("text", "dead.clnrm.toml"), ("json", "leaks.clnrm.toml.tera")])
def test_no_secret_on_the_terminal_nor_in_events_and_logs(place, log, file):
    done = clnrm(
        "-v", "-v", "--log-format", log, "--debug", "run", file, "--backend", "process",
        "--emit-events", "jsonl", "--retries", "1", "-f", "junit",
    )  # fmt: skip

    assert done.returncode == 1, done.stderr[-2000:]
    assert leaks(done.stdout) == set()
    assert leaks(done.stderr) == set()
    assert '"event":"diagnostic"' in done.stderr
    logged = [line for line in done.stderr.splitlines() if "attempt 1 of 2" in line]
    assert logged
    assert log == "text" or json.loads(logged[0])["level"] == "info"


def test_values_that_templates_read_are_masked_where_they_are_shown(place, tmp_path):
    target = tmp_path / "rendered.toml"

    shown = clnrm("render", "leaks.clnrm.toml.tera", "--show-vars", "-o", str(target), "-f", "json")

    assert shown.returncode == 0, shown.stderr
    assert MASK in shown.stdout
    assert leaks(shown.stdout + target.read_text()) == set()


def test_a_live_view_masks_what_has_come_so_far(place):
    run = clnrm_nb.run("leaks.clnrm.toml.tera", backend="process", detach=True)
    try:
        while run.status == "running" and not any(event.event == "span" for event in run.events):
            run._job.wait(0.01)
        shown = [repr(run), json.dumps(run._repr_mimebundle_()), run.frame.to_csv(), repr(run.events)]
        live = run.spans
        shown += [json.dumps(live._repr_mimebundle_()), repr(live)]
    finally:
        run.wait(60)

    assert [leaks(text) for text in shown] == [set()] * len(shown)


def test_errors_say_nothing_secret(place, monkeypatch):
    from clnrm_nb.errors import BackendUnavailableError
    from clnrm_nb.executor.backends.process import ProcessBackend

    async def refuse(self):
        stop = BackendUnavailableError(f"no engine: {SECRETS[4]}", "CLN601", hint=f"try {SECRETS[9]}")
        stop.add_note(f"with {SECRETS[2]}")
        raise stop from OSError(f"cannot reach {SECRETS[0]}")

    monkeypatch.setattr(ProcessBackend, "open", refuse)

    with pytest.raises(BackendUnavailableError) as raised:
        clnrm_nb.run("dead.clnrm.toml", backend="process")

    shown = "".join(traceback.format_exception(raised.value))
    said = [line for line in shown.splitlines() if "raise " not in line]
    assert leaks("\n".join(said)) == set()
    assert leaks("\n".join(raised.value._render_traceback_())) == set()
    assert shown.count(MASK) >= 4


def test_a_bug_in_a_test_is_reported_without_what_it_held(place, monkeypatch):
    from clnrm_nb.executor.backends.process import ProcessUnit

    async def fail(self, command):
        raise ValueError(f"no way to run {command} with {SECRETS[3]}")

    monkeypatch.setattr(ProcessUnit, "execute", fail)

    result = clnrm_nb.run("leaks.clnrm.toml.tera", backend="process")

    assert "CLN901" in result.diagnostics["code"].tolist()
    assert leaks(render_report(result, "json")) == set()


def test_a_secret_too_short_to_mask_is_said_to_be_shown(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / "short.clnrm.toml").write_text(
        '[meta]\nname = "s"\nversion = "1"\n[secrets]\nenv = ["PIN"]\n[[steps]]\nname = "x"\ncommand = "echo 123"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIN", "123")

    result = clnrm_nb.run("short.clnrm.toml", backend="process")

    assert result.ok
    assert result.raw["data"]["tests"][0]["scenarios"][0]["commands"][0]["stdout"] == "123\n"
    (finding,) = [one for one in result.raw["data"]["tests"][0]["diagnostics"] if one["code"] == "CLN413"]
    assert "`PIN` is not masked: it has fewer than 4 characters" in finding["message"]


def test_output_cut_at_its_limit_ends_in_no_half_of_a_secret(tmp_path, monkeypatch):
    limit = 10 * 1024 * 1024
    (tmp_path / ".clnrm").mkdir()
    script = f"import os, sys; sys.stdout.write('x' * ({limit} - 30) + os.environ['PLANTED'])"
    (tmp_path / "cut.clnrm.toml").write_text(
        f'[meta]\nname = "c"\nversion = "1"\n[secrets]\nenv = ["PLANTED"]\n[[steps]]\nname = "x"\n'
        f"command = {json.dumps([sys.executable, '-c', script])}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANTED", BIG)

    result = clnrm_nb.run("cut.clnrm.toml", backend="process")

    (command,) = result.raw["data"]["tests"][0]["scenarios"][0]["commands"]
    assert command["truncated"]
    assert command["stdout"] == "x" * (limit - 30) + MASK
    assert Masker([BIG]).text(BIG[:30]) != MASK


# -------------------------------------------------------------------------------------------- containers

CONTAINED = """
[meta]
name = "contained"
version = "1"
[secrets]
env = ["PLANTED"]
[services.told]
image = "{image}"
args = ["sh", "-c", "printf %s $PLANTED | head -c 9; sleep 0.2; printf %s $PLANTED | tail -c +10; echo; printf %s $PLANTED | base64; echo ready; exec sleep 60"]
wait_log_message = "^ready$"
[[scenario]]
name = "tells"
service = "told"
artifacts = {{collect = ["files:/kept"]}}
run = "printf %s $PLANTED | tee /kept | head -c 9; sleep 0.2; printf %s $PLANTED | tail -c +10; echo user:$PLANTED | base64 >&2"
"""
DYING = """
[meta]
name = "dying"
version = "1"
[secrets]
env = ["PLANTED"]
[services.dying]
image = "{image}"
args = ["sh", "-c", "printf %16380s | tr ' ' x; echo $PLANTED; exit 3"]
wait_log_message = "never"
[[steps]]
name = "x"
command = "true"
"""


@pytest.mark.docker
def test_containers_tell_no_secret_either(tmp_path, monkeypatch, busybox_image):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / "contained.clnrm.toml").write_text(CONTAINED.format(image=busybox_image))
    (tmp_path / "dying.clnrm.toml").write_text(DYING.format(image=busybox_image))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANTED", SECRETS[3])

    result = clnrm_nb.run(".")

    contained, dying = result.raw["data"]["tests"]
    (command,) = contained["scenarios"][0]["commands"]
    (died,) = [one for one in dying["diagnostics"] if one["code"] == "CLN603"]
    artifacts = tmp_path / ".clnrm" / "artifacts"
    assert command["stdout"] == MASK
    assert command["stderr"].startswith("dXNlc")
    assert (artifacts / "contained.clnrm.toml" / "tells" / "files" / "kept").read_text() == MASK
    log = (artifacts / "contained.clnrm.toml" / "services" / "told.stdout.log").read_text()
    assert log == f"{MASK}\n{MASK}\nready\n"
    assert died["hint"].endswith(MASK)
    assert leaks(render_report(result, "json")) == set()
    assert [path for path, text in contents(tmp_path) if leaks(text)] == []
