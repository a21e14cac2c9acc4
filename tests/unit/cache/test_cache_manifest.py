"""Whether a file's tests are what they were, told from records in the file system, and from contents in doubt."""

from __future__ import annotations

import os

import pytest

from clnrm_nb.cache import Cause, Fingerprints, Inputs, Manifest, changed_lines, line_prints, records
from clnrm_nb.cache import fingerprint as fingerprint_module
from clnrm_nb.cache import records as records_module
from clnrm_nb.cache.packing import DamagedError, pack, unpack
from tests.cached import age, manifest, present


@pytest.fixture
def root(tmp_path):
    for name in ("a.clnrm.toml", "_m.tera"):
        (tmp_path / name).write_text(f"text of {name}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("1,2\n")
    return tmp_path


@pytest.fixture
def settled(monkeypatch):
    """Files count as old however young they are: no test waits two seconds."""
    for module in (records_module, fingerprint_module):
        monkeypatch.setattr(module, "FRESH_NS", -(10**12))


def of_everything(root):
    environ = {"HOST": "hidden", "CI": "true"}
    made = manifest(
        root,
        "a.clnrm.toml",
        "_m.tera",
        environ=environ,
        missing=("later.tera",),
        environment=("HOST", "CI", "UNSET"),
        mounts={"api:/data": root / "data", "api:/none": root / "none"},
    )
    return made, environ


def test_untouched_inputs_hold_and_are_not_read(root, settled, monkeypatch):
    made, environ = of_everything(root)
    for module in (records_module, fingerprint_module):
        monkeypatch.setattr(module, "file_digest", lambda path: pytest.fail(f"{path} was read"))

    now = present(root, environ)

    assert made.holds(now) is None
    assert made.renewed(now) is None


def in_place(path, text):
    """Other content of the same size in the same file, with the time of change it had."""
    found = path.stat()
    with path.open("r+") as file:
        file.write(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES = {
    "a file": (lambda root: (root / "_m.tera").write_text("other"), ("files", "_m.tera")),
    "same size and time": (lambda root: in_place(root / "_m.tera", "TEXT"), ("files", "_m.tera")),
    "a file gone": (lambda root: (root / "_m.tera").unlink(), ("files", "_m.tera")),
    "a file that appears": (lambda root: (root / "later.tera").touch(), ("files", "later.tera")),
    "a directory in its place": (
        lambda root: ((root / "_m.tera").unlink(), (root / "_m.tera").mkdir()),
        ("files", "_m.tera"),
    ),
    "a mounted file": (lambda root: (root / "data/rows.csv").write_text("3"), ("mounts", "api:/data")),
    "one more mounted file": (lambda root: (root / "data/more.csv").touch(), ("mounts", "api:/data")),
    "a mount gone": (lambda root: (root / "data").rename(root / "moved"), ("mounts", "api:/data")),
    "a mount that appears": (lambda root: (root / "none").mkdir(), ("mounts", "api:/none")),
}


@pytest.mark.parametrize("is_settled", [True, False], ids=["old", "fresh"])
@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_a_changed_input_is_named(root, request, is_settled, change, named):
    if is_settled:
        request.getfixturevalue("settled")
    made, environ = of_everything(root)

    change(root)

    cause = made.holds(present(root, environ))
    assert cause is not None
    assert (cause.kind, cause.name) == named
    assert cause.before != cause.after


@pytest.mark.parametrize(
    ("environ", "cause"),
    [
        ({"CI": "true", "HOST": "other"}, ("environment", "HOST")),
        ({"CI": "true"}, ("environment", "HOST")),
        ({"CI": "true", "HOST": "hidden", "UNSET": ""}, ("environment", "UNSET")),
        ({"CI": "false", "HOST": "hidden"}, ("environment", "CI")),
    ],
)
def test_an_environment_value_is_named_and_never_shown(root, environ, cause):
    made, _ = of_everything(root)

    found = made.holds(present(root, environ))

    assert found is not None
    assert (found.kind, found.name) == cause
    assert "hidden" not in (found.before, found.after)
    assert b"hidden" not in made.packed()


def test_other_settings_variables_and_versions_are_named(root):
    made, environ = of_everything(root)
    other = present(root, environ, given="of another run")
    other_settings = present(root, environ)
    other_settings.settings = "of another project"

    assert made.holds(other) == Cause("given", before="", after="of another run")
    assert made.holds(other_settings) == Cause("settings", before="of now", after="of another project")


COSMETIC = {
    "touched": lambda root: age(root / "_m.tera", root / "data" / "rows.csv"),
    "written anew": lambda root: (
        (root / "_m.tera").unlink(),
        (root / "_m.tera").write_text("text of _m.tera\n"),
        (root / "data/rows.csv").unlink(),
        (root / "data/rows.csv").write_text("1,2\n"),
    ),
}


@pytest.mark.parametrize("change", COSMETIC.values(), ids=COSMETIC)
def test_equal_content_holds_and_is_read_only_once(root, settled, monkeypatch, change):
    made, environ = of_everything(root)
    change(root)

    now = present(root, environ)
    assert made.holds(now) is None
    renewed = made.renewed(now)

    assert renewed is not None
    monkeypatch.setattr(records_module, "file_digest", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(fingerprint_module, "file_digest", lambda path: pytest.fail(f"{path} was read"))
    assert renewed.holds(present(root, environ)) is None


def test_a_file_younger_than_the_clock_of_a_disk_is_read_again(root, monkeypatch):
    made, environ = of_everything(root)
    assert not any(record.is_settled for record in made.files.values())
    seen = []
    digest = records_module.file_digest
    monkeypatch.setattr(records_module, "file_digest", lambda path: seen.append(path) or digest(path))

    assert made.holds(present(root, environ)) is None

    assert len(seen) == 2


@pytest.mark.parametrize("content", ["text of _m.tera\n", "other"], ids=["equal content", "other content"])
def test_a_link_that_leads_elsewhere_is_a_change_whatever_is_there(root, settled, content):
    (root / "one.tera").write_text("text of _m.tera\n")
    (root / "two.tera").write_text(content)
    (root / "_m.tera").unlink()
    (root / "_m.tera").symlink_to("one.tera")
    made, environ = of_everything(root)
    assert made.holds(present(root, environ)) is None

    (root / "_m.tera").unlink()
    (root / "_m.tera").symlink_to("two.tera")

    cause = made.holds(present(root, environ))
    assert cause is not None
    assert cause.name == "_m.tera"


def test_files_that_are_not_what_was_read_have_no_manifest(root):
    inputs = Inputs({"a.clnrm.toml": "0" * 64})
    appeared = Inputs({}, missing=("_m.tera",))
    gone = Inputs({"gone.clnrm.toml": "0" * 64})

    for each in (inputs, appeared, gone):
        assert Manifest.of("r", "a.clnrm.toml", each, [], present(root)) is None


def test_a_manifest_comes_back_from_its_bytes(root):
    made, _ = of_everything(root)

    again = Manifest.unpacked(made.packed())

    assert again == made
    assert again.prints == {}
    assert again.tests[0].hash({"alpine:3": "sha256:aa"}) == made.tests[0].hash({"alpine:3": "sha256:aa"})
    assert again.tests[0].hash({}) is None


def test_bytes_of_another_version_are_no_manifest(root):
    made, _ = of_everything(root)
    longer = pack([*unpack(made.packed()), "what is still to come"])

    for packed in (longer, pack({"format": 99}), pack(None), b"", made.packed()[:-1]):
        with pytest.raises(DamagedError):
            Manifest.unpacked(packed)


def test_a_mount_that_holds_is_not_read_for_its_digest_either(root, settled, monkeypatch):
    made, environ = of_everything(root)
    prints = Fingerprints()
    monkeypatch.setattr(fingerprint_module, "file_digest", lambda path: pytest.fail(f"{path} was read"))

    assert made.holds(present(root, environ, prints=prints)) is None

    taken = made.mounts["api:/data"].taken
    assert taken is not None
    assert prints.of(root / "data") == taken.digest


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (b"a\nb\nc\n", b"a\nb\nc\n", 0),
        (b"a\nb\nc\n", b"a\nB\nc\n", 1),
        (b"a\nb\nc\n", b"a\nc\n", 1),
        (b"a\n", b"a\nb\nc\n", 2),
        (b"", b"a\nb\n", 2),
    ],
)
def test_changed_lines_are_counted(before, after, count):
    assert changed_lines(line_prints(before), line_prints(after)) == count


def test_what_is_no_file_has_no_record(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for name in ("pipe", "missing", "", "nul\0"):
        assert records.FileRecord.of(str(tmp_path / name)) is None
