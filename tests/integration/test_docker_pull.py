"""``clnrm pull`` against a registry of this process, and image ids in the hash of a test."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import socket
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import clnrm_nb
from clnrm_nb import api

pytestmark = pytest.mark.docker

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def sha(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_blobs():
    """The blobs of an image with one file, and its manifest."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    layer = gzip.compress(written.getvalue(), mtime=0)
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [sha(written.getvalue())]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": sha(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": len(layer),
                "digest": sha(layer),
            }
        ],
    }
    return {sha(config): config, sha(layer): layer}, json.dumps(manifest).encode()


class Registry(ThreadingHTTPServer):
    """The part of the registry API that a pull needs; every repository holds the same image."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.blobs, self.manifest = image_blobs()
        self.pulls: Counter[str] = Counter()
        self.asked_for: set[str] = set()
        """Repositories; one whose content is there already is not fetched."""
        self.name = f"127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, reference = self.path.removeprefix("/v2/").rpartition("/")
        if self.path == "/v2/":
            return self.answer(b"{}", "application/json")
        if kind.endswith("/manifests") and "missing" not in kind:
            repository = kind.removesuffix("/manifests")
            self.server.asked_for.add(repository)
            if self.command == "GET":
                self.server.pulls[repository] += 1
            return self.answer(self.server.manifest, MANIFEST)
        if reference in self.server.blobs:
            return self.answer(self.server.blobs[reference], "application/octet-stream")
        code = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return self.answer(json.dumps(code).encode(), "application/json", 404)

    do_HEAD = do_GET  # noqa: N815  # The name that http.server calls.

    def answer(self, content, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        if kind == MANIFEST:
            self.send_header("Docker-Content-Digest", sha(content))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *words):
        pass


@pytest.fixture
def registry(engine):
    with Registry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
    for image in engine.client.images():
        for tag in image["RepoTags"] or ():
            if tag.startswith(server.name):
                engine.client.remove_image(tag, force=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


HEAD = '[meta]\nname = "x"\nversion = "1"\n\n'


def scenario_file(*images, command_in="s0"):
    services = "".join(f'[services.s{n}]\nimage = "{image}"\n\n' for n, image in enumerate(images))
    service = f'service = "{command_in}"\n' if command_in else ""
    return f'{HEAD}{services}[[scenario]]\nname = "x"\n{service}run = ["true"]\n'


def test_each_image_is_pulled_once_whoever_names_it(project, registry):
    one, two = f"{registry.name}/one:1", f"{registry.name}/two:1"
    (project / "a.clnrm.toml").write_text(scenario_file(one, two))
    (project / "b.clnrm.toml").write_text(scenario_file(one, one))

    first, second = api.pull(workers=2), api.pull()

    assert first.frame[["image", "state"]].values.tolist() == [[one, "pulled"], [two, "pulled"]]
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert second.frame["state"].tolist() == ["present", "present"]
    assert all(count <= 2 for count in registry.pulls.values()), registry.pulls
    assert registry.asked_for == {"one", "two"}


def test_what_cannot_be_had_is_said_and_the_rest_is_pulled(project, registry, busybox_image):
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"127.0.0.1:{free.getsockname()[1]}/x:1"
    names = [busybox_image, f"{registry.name}/here:1", f"{registry.name}/missing:1", dead]
    (project / "a.clnrm.toml").write_text(scenario_file(*names))

    result = api.pull()

    assert result.exit_code == 1
    assert result.frame["state"].tolist() == ["present", "pulled", "failed", "failed"]
    assert result.frame["size_mb"].isna().tolist() == [False, False, True, True]
    messages = [finding["message"] for finding in result.raw["diagnostics"]]
    assert {finding["code"] for finding in result.raw["diagnostics"]} == {"CLN602"}
    assert f"cannot pull `{registry.name}/missing:1`: not found" in messages
    assert f"cannot pull `{dead}`: the registry cannot be reached" in messages


def test_the_policy_decides_as_in_a_run(project, registry):
    name = f"{registry.name}/one:1"
    (project / "a.clnrm.toml").write_text(scenario_file(name))
    (project / ".clnrm" / "config.toml").write_text('[containers]\npull_policy = "never"\n')

    result = api.pull()

    assert (result.exit_code, dict(registry.pulls)) == (1, {})
    assert "`pull_policy` is" in result.raw["diagnostics"][0]["message"]


def test_the_default_image_belongs_to_it_where_a_command_needs_one(project, registry):
    image = f"{registry.name}/runner:1"
    (project / ".clnrm" / "config.toml").write_text(f'[containers]\ndefault_image = "{image}"\n')
    (project / "a.clnrm.toml").write_text(scenario_file(command_in=None))

    assert api.pull().frame["image"].tolist() == [image]


def test_an_invalid_file_is_exit_2_and_keeps_nobody_from_pulling(project, registry):
    (project / "a.clnrm.toml").write_text(scenario_file(f"{registry.name}/one:1"))
    (project / "b.clnrm.toml").write_text("nothing = 1\n")

    result = api.pull()

    assert result.exit_code == 2
    assert result.frame["state"].tolist() == ["pulled"]


def test_another_image_under_the_same_tag_is_another_hash(project, engine, busybox_image, shellless_image):
    name = "clnrm-test-moving:1"
    (project / "a.clnrm.toml").write_text(
        HEAD
        + f'[services.s]\nimage = "{name}"\nargs = ["sleep", "60"]\n\n'
        + '[[scenario]]\nname = "x"\nservice = "s"\nrun = [{ command = ["echo", "x"] }]\n'
    )

    def hash_with(image):
        engine.client.tag(image, "clnrm-test-moving", "1")
        (test,) = clnrm_nb.run("a.clnrm.toml").raw["data"]["tests"]
        return test["hash"], test["status"]

    try:
        first, other, again = (hash_with(one) for one in (busybox_image, shellless_image, busybox_image))
    finally:
        engine.client.remove_image(name, force=True)

    assert [status for _, status in (first, other, again)] == ["passed", "passed", "cached"]
    assert first[0] == again[0] != other[0]
