from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from clnrm_nb.examples import images
from clnrm_nb.examples.packing import RootFilesystem


def archive_of(root: RootFilesystem) -> tarfile.TarFile:
    stream = io.BytesIO()
    root.write(stream)
    stream.seek(0)
    return tarfile.open(fileobj=stream)


@pytest.fixture
def program(tmp_path) -> Path:
    path = tmp_path / "tool"
    path.write_text("#!/bin/sh\necho hello\n")
    path.chmod(0o755)
    return path


def test_file_keeps_content_execute_bit_and_time(program):
    os.utime(program, (1_700_000_000, 1_700_000_000))
    root = RootFilesystem()
    root.add_file(program, "usr/bin/tool")

    entry = archive_of(root).getmember("usr/bin/tool")

    assert entry.mode == 0o755
    assert entry.mtime == 1_700_000_000
    assert archive_of(root).extractfile("usr/bin/tool").read() == program.read_bytes()


def test_digest_follows_content_mode_and_place_but_not_time(program):
    def digest(place="usr/bin/tool"):
        root = RootFilesystem()
        root.add_file(program, place)
        return root.digest()

    first = digest()
    os.utime(program, (1, 1))
    assert digest() == first
    assert digest("usr/bin/other") != first
    program.chmod(0o644)
    assert digest() != first
    program.chmod(0o755)
    program.write_text("#!/bin/sh\necho other\n")
    assert digest() != first


def test_file_below_an_origin_is_placed_as_if_the_origin_were_the_root(tmp_path):
    library = tmp_path / "root" / "opt" / "lib" / "libx.so.1"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"x")
    root = RootFilesystem([tmp_path / "root"])

    root.add_file(library)

    assert "opt/lib/libx.so.1" in archive_of(root).getnames()


def test_nothing_is_ever_written_below_a_symbolic_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (real / "file").write_text("x")
    link.symlink_to(real)
    root = RootFilesystem()

    root.add_file(link / "file")

    assert str(real / "file").lstrip("/") in archive_of(root).getnames()


def test_tree_leaves_out_directories_by_glob_and_broken_links(tmp_path):
    for name in ("kept/a.py", "config-3.11/big.a", "kept/tests/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "kept" / "broken").symlink_to(tmp_path / "nowhere")
    root = RootFilesystem()

    root.add_tree(tmp_path, without=frozenset({"config-*", "tests"}))

    packed = [name for name in archive_of(root).getnames() if name.startswith(str(tmp_path).lstrip("/"))]
    assert packed == [str(tmp_path / "kept/a.py").lstrip("/")]


@pytest.mark.skipif(sys.platform != "linux", reason="packs programs of Linux")
def test_libraries_of_a_program_come_with_it():
    root = RootFilesystem()
    root.add_file(Path(shutil.which("sh")))

    root.add_libraries()

    names = [Path(name).name for name in archive_of(root).getnames()]
    assert any(name.startswith(("libc.so", "libc.musl", "ld-")) for name in names)
    assert all(path.startswith("/") for path in root.library_directories())


def test_requirements_of_the_exporter_hold_what_a_program_needs_to_export():
    names = {distribution.name.lower() for distribution in images._with_requirements(images._EXPORTER)}

    assert {"opentelemetry-sdk", "opentelemetry-api", "protobuf", "requests", "urllib3"} <= names
    assert "pytest" not in names


def test_missing_exporter_names_the_command_that_installs_it():
    with pytest.raises(images.ImageError, match=r"pip install 'clnrm_nb\[demo\]'"):
        images._with_requirements("no-such-distribution-anywhere")


def test_redis_without_program_and_packages_says_what_to_install(monkeypatch):
    monkeypatch.setattr(images.shutil, "which", lambda name: None)
    with images.ExitStack() as stack, pytest.raises(images.ImageError, match="redis-server"):
        images._pack_redis(stack)
