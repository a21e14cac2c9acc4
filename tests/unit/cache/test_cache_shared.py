"""The shared cache gives what was signed for these very inputs, or nothing: whatever the other side does."""

import hashlib
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb.cache import Deposit, Entry, Key, shared
from clnrm_nb.cache.places import DirectoryPlace, HttpPlace
from clnrm_nb.cache.shared import SharedCache, why_not_shared
from clnrm_nb.config.keys import SharedCache as SharedSettings

SECRET = "the key that both sides have"
KEY = Key(
    {
        "scenario": {"services": {}},
        "environment": {"CI": "true", "SERVICE_NAME": None},
        "images": {"a:1": "sha256:1"},
    },
    expectations={"test": {"span": []}},
)
ID = "tests/a.clnrm.toml"


def deposit(key=KEY, test_id=ID, record=b'{"id": "tests/a"}', spans=b'{"resourceSpans": []}'):
    entry = Entry(
        test_id,
        key.hash,
        key.verdict,
        run="01J",
        duration_ms=12.5,
        backend="docker",
        trace_digest="sha256:9f",
    )
    return Deposit(entry, key, record, spans)


class Handler(BaseHTTPRequestHandler):
    """GET, HEAD and PUT of files in memory, as Bazel's HTTP cache; misbehaves as told."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def log_message(self, *_):
        pass

    def _answer(self, status, content=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        if self.server.trouble is not None:
            self.server.trouble(self)
            return
        content = self.server.files.get(self.path)
        self._answer(200 if content is not None else 404, content or b"")

    do_HEAD = do_GET  # noqa: N815  # Named by the base class.

    def do_PUT(self):
        self.server.asked.append((self.command, self.path))
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.trouble is not None:
            self.server.trouble(self)
            return
        self.server.files[self.path] = content
        self._answer(201)


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    server.files, server.asked, server.trouble, server.daemon_threads = {}, [], None, True
    server.url = f"http://127.0.0.1:{server.server_port}/cache"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@contextmanager
def warned_of(*words):
    said = []
    yield said.append
    assert len(said) == len(words), said
    for word, sentence in zip(words, said, strict=True):
        assert word in sentence


@pytest.fixture(params=["directory", "server"])
def place(request, tmp_path):
    """A place, and its files as a mapping from name to content that can be changed from outside."""
    if request.param == "directory":
        return DirectoryPlace(tmp_path / "shared"), Files(tmp_path / "shared")
    server = request.getfixturevalue("server")
    return HttpPlace(server.url), Served(server)


class Files:
    def __init__(self, root):
        self.root = root

    def names(self):
        return [
            path.relative_to(self.root).as_posix() for path in sorted(self.root.rglob("*")) if path.is_file()
        ]

    def get(self, name):
        return (self.root / name).read_bytes()

    def put(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def remove(self, name):
        (self.root / name).unlink()


class Served:
    def __init__(self, server):
        self.files = server.files

    def names(self):
        return [name.removeprefix("/cache/") for name in sorted(self.files)]

    def get(self, name):
        return self.files[f"/cache/{name}"]

    def put(self, name, content):
        self.files[f"/cache/{name}"] = content

    def remove(self, name):
        del self.files[f"/cache/{name}"]


def nobody(sentence):
    raise AssertionError(sentence)


def cache(place, *, key=SECRET, warn=nobody, write=True, read=True):
    return SharedCache(place, key, warn=warn, write=write, read=read, writer="ada@somewhere")


def test_what_one_gives_another_finds_and_knows_who_gave_it(place):
    assert cache(place[0]).offer(deposit())

    found = cache(place[0], write=False).fetch(ID, KEY)

    assert found is not None
    assert (found.record, found.spans) == (deposit().record, deposit().spans)
    assert found.entry.more == {"shared_by": "ada@somewhere"}
    assert replace(found.entry, more={}) == deposit().entry


def test_it_is_laid_out_as_bazels_http_cache_is(place):
    cache(place[0]).offer(deposit())
    digests = sorted(hashlib.sha256(content).hexdigest() for content in (deposit().record, deposit().spans))
    assert [name for name in place[1].names() if name.startswith("cas/")] == [
        f"cas/{digest}" for digest in digests
    ]
    (entry,) = (name for name in place[1].names() if name.startswith("ac/"))
    assert len(entry.removeprefix("ac/")) == 64


def test_nothing_is_written_unless_asked_and_nothing_read_if_not_wanted(place):
    assert not cache(place[0], write=False).offer(deposit())
    cache(place[0]).offer(deposit())
    assert cache(place[0], read=False).fetch(ID, KEY) is None


@pytest.mark.parametrize(
    "other",
    [
        (ID, replace(KEY, expectations={"test": {"span": [1]}})),
        (ID, replace(KEY, parts={**KEY.parts, "scenario": {"services": {"a": 1}}})),
        ("tests/b.clnrm.toml", KEY),
    ],
    ids=["other expectations", "other inputs", "another test"],
)
def test_a_result_of_anything_else_is_none(place, other):
    cache(place[0]).offer(deposit())
    assert cache(place[0]).fetch(*other) is None


def test_an_entry_put_in_the_place_of_another_is_no_hit(place):
    other = replace(KEY, parts={**KEY.parts, "scenario": {"services": {"a": 1}}})
    for key in (KEY, other):
        cache(place[0]).offer(deposit(key, record=key.hash.encode()))
    first, second = (name for name in place[1].names() if name.startswith("ac/"))
    one, two = place[1].get(first), place[1].get(second)
    place[1].put(first, two)
    place[1].put(second, one)
    with warned_of("not signed with our key, or not what was signed") as warn:
        one = cache(place[0], warn=warn)
        assert one.fetch(ID, KEY) is None
        assert one.fetch(ID, other) is None


def test_an_entry_that_another_key_signed_is_no_hit_and_said_once(place):
    cache(place[0], key="a key of somebody else").offer(deposit())
    with warned_of("not signed with our key") as warn:
        one = cache(place[0], warn=warn)
        assert one.fetch(ID, KEY) is None
        assert one.fetch(ID, KEY) is None


def test_an_unsigned_entry_is_no_hit(place):
    cache(place[0]).offer(deposit())
    (name,) = (name for name in place[1].names() if name.startswith("ac/"))
    document = json.loads(place[1].get(name))
    for unsigned in ({"body": document["body"]}, {**document, "signature": ""}, document["body"], [], None):
        place[1].put(name, json.dumps(unsigned).encode())
        with warned_of("not signed") as warn:
            assert cache(place[0], warn=warn).fetch(ID, KEY) is None


def test_contents_that_were_changed_are_no_hit_and_missing_ones_are_as_if_nothing_were_there(place):
    cache(place[0]).offer(deposit())
    names = [name for name in place[1].names() if name.startswith("cas/")]
    for name in names:
        content = place[1].get(name)
        place[1].put(name, content + b" ")
        with warned_of("does not have its digest") as warn:
            assert cache(place[0], warn=warn).fetch(ID, KEY) is None
        place[1].remove(name)
        assert cache(place[0]).fetch(ID, KEY) is None
        place[1].put(name, content)
    assert cache(place[0]).fetch(ID, KEY) is not None


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_entry_changed_anywhere_is_no_hit_or_the_very_same_one(tmp_path, data):
    place = DirectoryPlace(tmp_path / "shared")
    cache(place).offer(deposit())
    (path,) = (tmp_path / "shared" / "ac").iterdir()
    whole = path.read_bytes()
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "remove"]))
        if change == "flip":
            raw[position] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "cut":
            del raw[position + 1 :]
        elif change == "insert":
            raw.insert(position, data.draw(st.integers(0, 255)))
        elif len(raw) > 1:
            del raw[position]
    path.write_bytes(bytes(raw))

    said = []
    found = cache(place, warn=said.append).fetch(ID, KEY)

    path.write_bytes(whole)
    assert found is None or found == cache(place).fetch(ID, KEY)
    assert bool(said) is (found is None)


@given(
    name=st.sampled_from(["hash", "verdict", "test", "writer", "facts", "contents", "key_version", "format"]),
    value=st.text(max_size=5) | st.integers() | st.none(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_field_can_be_changed_without_the_key(tmp_path, name, value):
    place = DirectoryPlace(tmp_path / "shared")
    cache(place).offer(deposit())
    (path,) = (tmp_path / "shared" / "ac").iterdir()
    document = json.loads(path.read_bytes())
    document["body"][name] = value
    path.write_text(json.dumps(document))
    assert cache(place, warn=lambda _: None).fetch(ID, KEY) is None


# ------------------------------------------------------------------------------------ what is not shared


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"environment": {"API_URL": "hmac:" + "0" * 64}}, "`API_URL` of the environment"),
        ({"environment": {"CI": "true", "PATH": "hmac:" + "0" * 64}}, "`PATH`"),
        ({"environment": {}, "variables": {"api_token": "hmac:" + "0" * 64}}, "a secret"),
    ],
)
def test_what_a_machines_environment_went_into_stays_there(place, parts, words):
    key = Key(parts)
    assert words in why_not_shared(key)
    assert not cache(place[0]).offer(deposit(key))
    assert cache(place[0]).fetch(ID, key) is None
    assert place[1].names() == [] if isinstance(place[1], Served) else True


def test_an_unset_variable_says_nothing_of_a_machine():
    assert why_not_shared(KEY) is None


# ------------------------------------------------------------------------------------------ a bad server


def refuse(handler):
    handler._answer(500, b"no")


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def drip(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        if handler.server.stop.wait(0.02):
            return


def hang_up(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x")
    handler.close_connection = True


def flood(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**12))
    handler.end_headers()
    block = b"x" * 65536
    try:
        for _ in range(1000):
            handler.wfile.write(block)
    except OSError:
        pass


@pytest.mark.parametrize("trouble", [refuse, redirect, drip, hang_up, flood])
def test_a_server_in_trouble_is_said_once_and_not_asked_again(server, trouble):
    server.trouble, server.stop = trouble, threading.Event()
    with warned_of("the shared cache is not used any more in this run") as warn:
        one = cache(HttpPlace(server.url, longest_s=0.2), warn=warn)
        assert one.fetch(ID, KEY) is None
        asked = len(server.asked)
        assert one.fetch(ID, KEY) is None
        assert not one.offer(deposit())
        assert len(server.asked) == asked
    server.stop.set()


def test_a_server_that_is_not_there_is_said_once():
    with warned_of("not used any more") as warn:
        one = cache(HttpPlace("http://127.0.0.1:9/cache"), warn=warn)
        assert one.fetch(ID, KEY) is None
        assert one.fetch(ID, KEY) is None


def test_a_server_that_takes_nothing_is_said_once(server):
    server.trouble = refuse
    with warned_of("500") as warn:
        assert not cache(HttpPlace(server.url), warn=warn).offer(deposit())


def test_many_are_asked_for_at_once_and_trouble_is_still_said_once(server):
    keys = {
        f"tests/{number}": replace(KEY, parts={**KEY.parts, "matrix": {"n": number}}) for number in range(20)
    }
    for test_id, key in keys.items():
        if test_id != "tests/7":
            cache(HttpPlace(server.url)).offer(deposit(key, test_id))
    found = cache(HttpPlace(server.url)).fetch_all(keys)
    assert found.keys() == keys.keys() - {"tests/7"}
    assert all(one.entry.key == (test_id, keys[test_id].hash) for test_id, one in found.items())
    server.trouble = refuse
    with warned_of("500") as warn:
        assert cache(HttpPlace(server.url), warn=warn).fetch_all(keys) == {}


def test_a_server_that_closes_its_connections_is_no_trouble(server):
    one = cache(HttpPlace(server.url))
    one.offer(deposit())
    one._place._idle[0].sock.shutdown(socket.SHUT_RDWR)
    assert one.fetch(ID, KEY) is not None


def test_contents_that_are_there_are_not_sent_again(server):
    cache(HttpPlace(server.url)).offer(deposit())
    server.asked.clear()
    cache(HttpPlace(server.url)).offer(deposit())
    assert [method for method, path in server.asked if "/cas/" in path] == ["HEAD", "HEAD"]


def test_a_directory_that_cannot_be_written_is_said_once(tmp_path):
    (tmp_path / "shared").write_text("a file")
    with warned_of("not used any more") as warn:
        one = cache(DirectoryPlace(tmp_path / "shared"), warn=warn)
        assert not one.offer(deposit())
        assert not one.offer(deposit())


# --------------------------------------------------------------------------------------------- settings


def test_without_a_key_nothing_is_shared_and_it_is_said(tmp_path):
    with warned_of("CLNRM_NB_CACHE_SHARED_KEY") as warn:
        assert SharedCache.of(SharedSettings(dir="shared"), tmp_path, warn) is None


def test_a_place_in_trouble_is_left_alone_for_a_minute_also_by_the_next_run(tmp_path, monkeypatch):
    wanted = SharedSettings(url="http://127.0.0.1:9/resting", key=SECRET)
    with warned_of("not used any more") as warn:
        SharedCache.of(wanted, tmp_path, warn).fetch(ID, KEY)
    with warned_of("left alone for a minute") as warn:
        assert SharedCache.of(wanted, tmp_path, warn) is None
    later = shared.time.monotonic() + 61
    monkeypatch.setattr(shared.time, "monotonic", lambda: later)
    assert SharedCache.of(wanted, tmp_path, nobody) is not None


def test_a_server_that_makes_us_wait_for_nothing_is_given_up(server, monkeypatch):
    monkeypatch.setattr(shared, "_MOST_WAITED_S", 0.0)
    with warned_of("it is too slow") as warn:
        one = cache(HttpPlace(server.url), warn=warn)
        assert one.fetch(ID, KEY) is None
        assert one.fetch(ID, KEY) is None
    assert len(server.asked) == 1


def test_a_relative_directory_starts_from_the_project(tmp_path):
    given = SharedSettings(dir="shared", write=True, key=SECRET)
    assert SharedCache.of(given, tmp_path, nobody).offer(deposit())
    assert (tmp_path / "shared" / "ac").is_dir()
    assert SharedCache.of(SharedSettings(), tmp_path, nobody) is None
