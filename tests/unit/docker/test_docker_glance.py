"""What an engine says without its SDK: a server on a unix socket stands in for it."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

import pytest

from clnrm_nb.executor.backends.docker.glance import UnaskableError, answers, image_ids

IMAGES = {"busybox:1": "sha256:abc", "host.example:5000/team/app:2": "sha256:def"}


class Handler(BaseHTTPRequestHandler):
    """As much of the engine as is asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # The name the server looks for.
        name = unquote(self.path.removeprefix("/images/").removesuffix("/json"))
        status = 200 if name == "/_ping" or name in IMAGES else 404
        if name == "broken:1":
            status = 500
        body = json.dumps({"Id": IMAGES.get(name, "")}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Nothing."""

    def address_string(self):
        """A unix socket has none."""
        return ""


@pytest.fixture
def url(tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "s"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


def test_images_are_told_by_their_content_on_one_connection(url):
    found = image_ids([*IMAGES, "gone:1"], url)

    assert found == {**IMAGES, "gone:1": None}
    assert answers(url)


def test_where_nothing_listens_no_engine_answers(tmp_path):
    assert image_ids(["busybox:1"], f"unix://{tmp_path}/none") is None
    assert not answers(f"unix://{tmp_path}/none")


def test_an_engine_that_does_not_say_is_not_taken_for_one_that_has_no_image(url):
    with pytest.raises(UnaskableError, match="500"):
        image_ids(["broken:1"], url)


def test_what_only_the_sdk_can_reach_is_said_to_be_unaskable():
    with pytest.raises(UnaskableError, match="ssh"):
        image_ids(["busybox:1"], "ssh://nobody@localhost")
