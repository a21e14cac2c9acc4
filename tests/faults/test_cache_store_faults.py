"""The cache on damaged, full, read-only, forbidden and foreign disks: never a wrong hit, never a traceback."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from clnrm_nb.cache import Decision, Leases, Manifest, write_export
from clnrm_nb.cache import records as records_module
from clnrm_nb.cache.packing import pack
from clnrm_nb.state import State, database
from tests.cached import age, deposit, manifest, open_store, present, stored

TESTS = [f"t/{n}.clnrm.toml" for n in range(12)]


@pytest.fixture
def directory(tmp_path):
    return tmp_path / ".clnrm"


@pytest.fixture
def filled(tmp_path, directory):
    """A store with everything in it, closed; what it holds by key."""
    (tmp_path / "a.clnrm.toml").write_text("text\n")
    made = manifest(tmp_path)
    with State.open(directory) as state:
        store = open_store(state)
        entries = stored(store, *(deposit(test_id, files={"m.tera": "f" * 64}) for test_id in TESTS))
        decisions = [Decision(test_id, "hit", "h" * 64) for test_id in TESTS]
        store.settle(manifests=[made], decisions=decisions, counts={"hits": 12})
        contents = {entry.key: (store.record_of(entry), store.spans_of(entry)) for entry in entries}
    return {entry.key: entry for entry in entries}, contents, made


def use(directory, filled):
    """Everything a run does with a store; what is found in it has to be what was put there."""
    entries, contents, made = filled
    with State.open(directory) as state:
        store = open_store(state)
        found = store.find(list(entries))
        for entry in (*found.values(), *store.latest().values(), *store.entries()):
            expected = entries[entry.key]
            assert (entry.verdict, entry.objects, entry.files) == (
                expected.verdict,
                expected.objects,
                expected.files,
            )
        whole = store.are_whole(list(found.values()))
        for known in whole:
            assert (store.record_of(found[known]), store.spans_of(found[known])) == contents[known]
            store.key_of(found[known])
        assert all(one == made for one in store.manifests([made.request]).values())
        assert all(one.answer == "hit" for one in store.decisions().values())
        store.prints_of(made)
        store.stats()
        store.settle(used=found.values(), decisions=[Decision("t/new", "miss")], manifests=[made])
        with Leases(state) as leases:
            assert leases.take(["k"]) == {"k"}
        store.put([deposit("t/new")])
        store.verify()
        write_export(store, directory / "cache" / "hashes.json")
        return whole, [finding.code for finding in state.diagnostics]


def assert_works_again(directory):
    """Whatever was wrong: what is put next is found."""
    with State.open(directory) as state:
        store = open_store(state)
        (entry,) = stored(store, deposit("t/next"))
        assert store.are_whole([entry]) == {entry.key}


def test_a_sound_store_gives_all_of_it(directory, filled):
    assert use(directory, filled) == (filled[0].keys(), [])


# ------------------------------------------------------------------------------------------- state.db


def damaged(directory, change):
    with State.open(directory) as state:
        state.write(lambda db: None)
    with sqlite3.connect(directory / "state.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    for suffix in ("-wal", "-shm"):
        (directory / f"state.db{suffix}").unlink(missing_ok=True)
    path = directory / "state.db"
    path.write_bytes(change(path.read_bytes()))


def flip(seed):
    def change(content):
        chance, content = random.Random(seed), bytearray(content)
        for _ in range(chance.choice([1, 1, 8, 64])):
            place = chance.randrange(len(content))
            content[place] ^= 1 << chance.randrange(8)
        return bytes(content)

    return change


@pytest.mark.parametrize("seed", range(16))
def test_flipped_bits_in_the_database_are_misses(directory, filled, seed):
    damaged(directory, flip(seed))

    use(directory, filled)

    assert_works_again(directory)


@pytest.mark.parametrize("share", [0, 1, 50, 4095, 4096, 4097, 0.3, 0.5, 0.9, 0.999])
def test_a_database_cut_off_anywhere_is_a_miss(directory, filled, share):
    damaged(directory, lambda content: content[: share if share > 1 else int(len(content) * share)])

    use(directory, filled)

    assert_works_again(directory)


@pytest.mark.parametrize("column", ["document", "key", "record", "hash"])
def test_a_damaged_row_is_a_miss_and_goes_when_it_is_verified(directory, filled, column):
    with State.open(directory) as state:
        state.write(
            lambda db: db.execute(f"UPDATE cache_entries SET {column} = ? WHERE test_id = ?", ("x", TESTS[0]))
        )
        store = open_store(state)
        wanted = [known for known in filled[0] if known[0] == TESTS[0]]

        found = store.find(wanted)
        for entry in found.values():
            assert entry.objects == filled[0][entry.key].objects
            assert store.key_of(entry) is None or column != "key"

        assert len(store.verify().dropped) == (column in ("document", "hash"))
        assert state.diagnostics == ()


def test_a_row_that_took_the_place_of_another_is_no_answer(directory, filled):
    one, other = list(filled[0].values())[:2]
    with State.open(directory) as state:
        state.write(
            lambda db: db.execute(
                "UPDATE cache_entries SET document = (SELECT document FROM cache_entries WHERE test_id = ?) "
                "WHERE test_id = ?",
                (other.test_id, one.test_id),
            )
        )

        assert open_store(state).find([one.key]) == {}


def test_a_row_of_fewer_fields_is_understood_and_one_of_more_is_a_miss(directory, filled):
    one, other = list(filled[0].values())[:2]
    with State.open(directory) as state:
        for entry, values in ((one, one.values()[:-1]), (other, [*other.values(), 1, 2])):
            state.write(
                lambda db, entry=entry, values=values: db.execute(
                    "UPDATE cache_entries SET document = ? WHERE test_id = ?", (pack(values), entry.test_id)
                )
            )

        assert open_store(state).find([one.key, other.key]).keys() == {one.key}


# -------------------------------------------------------------------------------------------- objects


def cut(content):
    return content[: len(content) // 2]


def turned(content):
    return bytes([content[0] ^ 1, *content[1:]])


@pytest.mark.parametrize("of", ["record", "spans"])
@pytest.mark.parametrize("change", [cut, turned, lambda content: b""], ids=["cut", "flipped bit", "empty"])
def test_a_damaged_object_is_a_miss_is_set_aside_and_comes_back_with_the_next_run(
    directory, filled, of, change
):
    entry = next(iter(filled[0].values()))
    with State.open(directory) as state:
        store = open_store(state)
        path = state.objects.path(getattr(entry, of))
        path.write_bytes(change(path.read_bytes()))

        assert store.are_whole([entry]) == set()
        assert store.record_of(entry) is None or of == "spans"
        assert [finding.code for finding in state.diagnostics] == ["CLN804"]
        assert len(list((directory / "objects" / "quarantine").iterdir())) == 1

        stored(store, deposit(entry.test_id))
        assert len(store.are_whole(store.entries())) == len(TESTS)


def test_verifying_sets_damaged_objects_aside_and_forgets_their_entries(directory, filled):
    damaged_one, lost_one, *others = filled[0].values()
    with State.open(directory) as state:
        path = state.objects.path(damaged_one.spans)
        found = path.stat()
        path.write_bytes(turned(path.read_bytes()))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        state.objects.path(lost_one.record).unlink()

        said = open_store(state).verify()

        assert said.damaged == (damaged_one.spans,)
        assert said.missing == (lost_one.record,)
        assert set(said.dropped) == {damaged_one.key, lost_one.key}
        assert {entry.key for entry in open_store(state).entries()} == {entry.key for entry in others}


def test_a_row_without_its_object_is_a_miss(directory, filled):
    entry, other, *_ = filled[0].values()
    with State.open(directory) as state:
        state.objects.path(entry.record).unlink()

        assert open_store(state).are_whole([entry, other]) == {other.key}


def test_all_objects_gone_means_all_tests_run(directory, filled):
    shutil.rmtree(directory / "objects")

    assert use(directory, filled)[0] == set()
    assert_works_again(directory)


DIES = """
import os, sys
from pathlib import Path
from clnrm_nb.state import State
from tests.cached import deposit, open_store
with State.open(Path(sys.argv[1])) as state:
    state.write = lambda work: os.kill(os.getpid(), 9)
    open_store(state).put([deposit("t/killed")])
"""


def test_a_process_killed_between_objects_and_row_leaves_a_miss(directory):
    done = subprocess.run([sys.executable, "-c", DIES, str(directory)], check=False)

    assert done.returncode == -9
    with State.open(directory) as state:
        store = open_store(state)
        assert list(state.objects.digests())
        assert store.find([deposit("t/killed").entry.key]) == {}
        stored(store, deposit("t/killed"))
    assert_works_again(directory)


# --------------------------------------------------------------------------- versions, clocks, processes


def test_a_store_of_a_newer_version_is_a_miss_and_is_left_alone(directory, filled):
    with sqlite3.connect(directory / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    before = connection.execute("SELECT count(*) FROM cache_entries").fetchone()

    whole, codes = use(directory, filled)

    assert (whole, codes) == (set(), ["CLN804"])
    assert connection.execute("SELECT count(*) FROM cache_entries").fetchone() == before


def test_an_older_version_at_work_goes_on_when_a_newer_one_comes(directory, monkeypatch):
    def write(state, run):
        sql = "INSERT INTO runs (id, at, document) VALUES (?, '', '')"
        return state.write(lambda db: db.execute(sql, (run,)))

    with State.open(directory) as older:
        with monkeypatch.context() as patched:
            patched.setattr(database, "MIGRATIONS", database.MIGRATIONS[:4])
            assert write(older, "01A")

        assert_works_again(directory)

        assert write(older, "01B")
        assert older.diagnostics == ()


def test_an_older_cache_that_meets_no_tables_is_a_miss(directory, monkeypatch):
    with State.open(directory) as state, monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", database.MIGRATIONS[:4])
        store = open_store(state)

        assert store.latest() == {}
        assert not store.put([deposit()])
        assert {finding.code for finding in state.diagnostics} == {"CLN804"}


@pytest.mark.parametrize("step_s", [-3600, 3600, -(10**9)])
def test_a_clock_that_jumps_makes_no_file_look_unchanged(tmp_path, monkeypatch, step_s):
    path = tmp_path / "a.clnrm.toml"
    path.write_text("before")
    real = time.time_ns
    monkeypatch.setattr(records_module.time, "time_ns", lambda: real() + step_s * 10**9)
    made = manifest(tmp_path)
    found = path.stat()

    with path.open("r+") as file:
        file.write("AFTER!")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert made.holds(present(tmp_path)) is not None


def test_files_from_the_future_are_read_every_time(tmp_path):
    (tmp_path / "a.clnrm.toml").write_text("text")
    age(tmp_path / "a.clnrm.toml", seconds=-3600)

    made = Manifest.unpacked(manifest(tmp_path).packed())

    assert not made.files["a.clnrm.toml"].is_settled
    assert made.holds(present(tmp_path)) is None


# ---------------------------------------------------------------------------------------------- disks

USE = """
import json, os, resource, sys
from pathlib import Path
from clnrm_nb.cache import Decision, Leases, write_export
from clnrm_nb.errors import ClnrmError
from clnrm_nb.state import State
from tests.cached import deposit, open_store

directory, user, files = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if files:
    import clnrm_nb.cache.manifest, filelock, zlib  # No file is left for modules.
    held = [open(os.devnull) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
if user:
    os.setuid(user)
state = State.open(directory)
store = open_store(state)
old = deposit("t/0.clnrm.toml").entry.key
found = store.find([old])
whole = store.are_whole(list(found.values()))
put = store.put([deposit(f"t/new{n}", spans=os.urandom(40_000)) for n in range(4)])
settled = store.settle(used=found.values(), decisions=[Decision("t/new", "miss")], counts={"misses": 1})
with Leases(state) as leases:
    granted = sorted(leases.take(["a", "b"]))
export = write_export(store, directory / "cache" / "hashes.json")
try:
    cleared = store.clear(["nothing"])
except ClnrmError as error:
    cleared = error.code
after = store.find([old])
for entry in after.values():
    assert entry.key not in store.are_whole([entry]) or store.record_of(entry) == deposit("t/0.clnrm.toml").record
state.close()
codes = sorted({finding.code for finding in state.diagnostics})
print(json.dumps([bool(whole), put, settled, granted, export is None, cleared, codes]))
"""


def used(directory, *, user=0, files=0):
    """What a process with less room, fewer rights or no files says of the store."""
    command = [sys.executable, "-c", USE, str(directory), str(user), str(files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def mounted(tmp_path):
    """Mount a tmpfs as the state directory, with a filled store in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small or read-only disk")
    directory = tmp_path / ".clnrm"
    directory.mkdir()

    def mount(options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "clnrm-test", str(directory)], check=True)
        with State.open(directory) as state:
            open_store(state).put([deposit("t/0.clnrm.toml")])
        return directory

    yield mount
    subprocess.run(["umount", "--lazy", str(directory)], check=False)


def test_a_full_disk_keeps_what_was_there_and_says_so_once(mounted):
    directory = mounted("size=1m")
    with (directory / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 1024):
            pass

    whole, put, _, granted, _, _, codes = used(directory)

    assert (whole, put, granted, codes) == (True, False, ["a", "b"], ["CLN804"])
    (directory / "filler").unlink()
    assert_works_again(directory)
    assert not list(directory.rglob("*.tmp"))


def test_a_disk_that_fills_up_in_the_middle_keeps_what_was_there(mounted):
    directory = mounted("size=400k")

    whole, put, _, _, _, _, codes = used(directory)

    assert (whole, put, codes) == (True, False, ["CLN804"])


def test_a_read_only_disk_still_answers(mounted):
    directory = mounted("size=4m")
    subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)

    said = used(directory)

    assert said == [True, False, False, ["a", "b"], False, "CLN001", ["CLN804"]]
    subprocess.run(["mount", "-o", "remount,rw", str(directory)], check=True)
    assert_works_again(directory)


@pytest.fixture
def readable():
    """A directory that other users reach; those of pytest are private."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("mode", "answers"), [(0o755, True), (0o000, False)], ids=["nobody may write", "nobody may read"]
)
def test_a_store_of_another_user_is_used_as_far_as_it_may_be(readable, mode, answers):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with State.open(readable / ".clnrm") as state:
        open_store(state).put([deposit("t/0.clnrm.toml")])
    (readable / ".clnrm").chmod(mode)

    whole, put, settled, granted, exported, _, codes = used(readable / ".clnrm", user=65534)

    assert (whole, put, settled, exported) == (answers, False, False, False)
    assert granted == ["a", "b"]
    assert codes == ["CLN804"]


def test_without_files_left_nothing_is_found_and_nothing_is_lost(directory, filled):
    whole, put, _, granted, _, _, codes = used(directory, files=1)

    assert (whole, put, granted, codes) == (False, False, ["a", "b"], ["CLN804"])
    assert use(directory, filled)[0] == filled[0].keys()
