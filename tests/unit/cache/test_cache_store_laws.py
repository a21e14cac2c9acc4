"""Laws: whatever is done to the store in whatever order, it never gives a wrong result and loses none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clnrm_nb.cache import Cause, Decision, changed_lines, line_prints, upkeep
from clnrm_nb.cache.packing import DamagedError, pack, pack_large, unpack, unpack_large
from clnrm_nb.cache.records import FileRecord, Files
from clnrm_nb.state import State
from tests.cached import deposit, hours, key, manifest, open_store, present

IDS = st.sampled_from(["t/a", "t/a[x=1]", "t/b", "u/a"])
VERSIONS = st.integers(0, 2)
KEPT = 5

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class StoreMachine(RuleBasedStateMachine):
    """The store beside a dict: keys in order of use, with what they hold."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[tuple[str, str], tuple[bytes, str | None]] = {}
        self.clock = hours()
        self.garbage = mock.patch.object(upkeep, "_YOUNG_S", -60.0)
        self.garbage.start()

    @initialize()
    def open(self):
        self.state = State.open(self.directory / ".clnrm")
        self.store = open_store(self.state, now=self.clock, max_entries=KEPT)

    def teardown(self):
        self.state.close()
        self.garbage.stop()
        shutil.rmtree(self.directory)

    def found(self, keys):
        return list(self.store.find(keys).values())

    @rule(test_id=IDS, version=VERSIONS, text=st.binary(max_size=3))
    def put(self, test_id, version, text):
        result = deposit(test_id, version, record=b"record " + text, spans=b"spans " + text)
        assert self.store.put([result])
        self.model.pop(result.entry.key, None)
        self.model[result.entry.key] = (text, result.entry.verdict)
        while len(self.model) > KEPT:
            del self.model[next(iter(self.model))]

    @rule(test_id=IDS, version=VERSIONS)
    def use(self, test_id, version):
        used = key(test_id, version).hash
        assert self.store.settle(used=self.found([(test_id, used)]))
        if (test_id, used) in self.model:
            self.model[test_id, used] = self.model.pop((test_id, used))

    @rule(test_id=IDS, version=VERSIONS)
    def drop(self, test_id, version):
        dropped = (test_id, key(test_id, version).hash)
        assert self.store.drop([dropped])
        self.model.pop(dropped, None)

    @rule(test_id=IDS, version=VERSIONS, verdict=st.none() | st.just("newer"))
    def rejudge(self, test_id, version, verdict):
        for entry in self.found([(test_id, key(test_id, version).hash)]):
            assert self.store.rejudge(entry, verdict)
            self.model[entry.key] = (self.model[entry.key][0], verdict)

    @rule(path=st.sampled_from(["t", "t/a", "t/a[x=1]", "u", "none"]))
    def clear(self, path):
        meant = {known for known in self.model if upkeep.is_among(known[0], [path])}
        assert self.store.clear([path]) == len(meant)
        for known in meant:
            del self.model[known]

    @rule()
    def verify(self):
        assert self.store.verify().dropped == ()

    @rule()
    def another_process(self):
        self.state.close()
        self.open()

    @invariant()
    def everything_is_as_in_the_model(self):
        if not hasattr(self, "store"):
            return
        entries = self.store.entries()
        assert {entry.key for entry in entries} == self.model.keys()
        assert self.store.are_whole(entries) == self.model.keys()
        for entry in entries:
            text, verdict = self.model[entry.key]
            assert entry.verdict == verdict
            assert self.store.record_of(entry) == b"record " + text
            assert self.store.spans_of(entry) == b"spans " + text
        latest = dict(list(self.model))
        assert {test_id: entry.hash for test_id, entry in self.store.latest().items()} == latest
        assert self.state.diagnostics == ()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


@given(JSON)
def test_what_is_packed_is_unpacked(document):
    assert unpack(pack(document)) == document
    assert unpack_large(pack_large(document)) == document


@given(JSON, st.data())
def test_a_flipped_bit_is_noticed(document, data):
    packed = bytearray(pack(document))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8

    try:
        unpack(bytes(packed))
    except DamagedError:
        return
    raise AssertionError("a flipped bit went through")


@given(
    st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12),
    st.lists(st.sampled_from([b"a", b"b"]), max_size=12),
)
def test_lines_that_changed_are_between_none_and_all(before, after):
    count = changed_lines(line_prints(b"\n".join(before)), line_prints(b"\n".join(after)))

    assert (count == 0) == (b"\n".join(before) == b"\n".join(after))
    assert count <= max(len(before), 1) + max(len(after), 1)


CAUSES = st.builds(
    Cause,
    kind=st.text(),
    name=st.text(),
    before=st.none() | st.text(),
    at=st.lists(st.text(), max_size=2).map(tuple),
    lines=st.none() | st.integers(0, 9),
    is_cosmetic=st.booleans(),
)


@given(
    st.builds(Decision, st.text(), st.just("miss"), st.none() | st.text(), causes=st.lists(CAUSES).map(tuple))
)
def test_a_decision_comes_back_from_json(decision):
    assert Decision.from_json(decision.to_json()) == decision
    assert Decision.from_json(unpack(pack(decision))) == decision


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "in place", "replace", "touch", "link", "gone"]), st.binary(max_size=2)
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(before=st.binary(max_size=2), edits=EDITS)
def test_a_record_holds_iff_content_and_place_are_the_same(before, edits):
    with tempfile.TemporaryDirectory() as directory:
        path, other = Path(directory) / "file", Path(directory) / "other"
        path.write_bytes(before)
        record = FileRecord.of(str(path))
        assert record is not None

        for kind, content in edits:
            _edit(path, other, kind, content)

        same = path.is_file() and path.read_bytes() == before and not path.is_symlink()
        assert Files().holds(str(path), record) == same


def _edit(path, other, kind, content):
    if kind == "gone":
        path.unlink(missing_ok=True)
    elif kind == "touch":
        path.touch()
    elif kind == "in place" and path.exists():
        with path.open("r+b") as file:
            file.write(content)
    elif kind == "link":
        other.write_bytes(content)
        path.unlink(missing_ok=True)
        path.symlink_to(other)
    else:
        temporary = path.with_name("temporary")
        temporary.write_bytes(content)
        temporary.replace(path) if kind == "replace" else path.write_bytes(content)


@settings(max_examples=40)
@given(
    environ=st.dictionaries(st.sampled_from("ABC"), st.text(max_size=2)),
    now=st.dictionaries(st.sampled_from("ABC"), st.text(max_size=2)),
)
def test_a_manifest_holds_iff_every_variable_it_names_is_the_same(environ, now):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "a.clnrm.toml").touch()
        made = manifest(root, environ=environ, environment=("A", "B"))

        cause = made.holds(present(root, now))

        differ = [name for name in "AB" if environ.get(name) != now.get(name)]
        assert (cause.name if cause else None) == (differ[0] if differ else None)
