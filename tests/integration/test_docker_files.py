"""Files out of containers that hold whatever they like, from a real engine."""

from __future__ import annotations

import pytest

from clnrm_nb.executor.backends.docker.files import Copying, FileLimits
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.scenario.model import Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]


@pytest.fixture
async def unit(docker_backend, unit_spec):
    """A unit with one idle service."""
    unit = await docker_backend.open_unit(unit_spec(Service(name="web", args=("sleep", "1000"))))
    await unit.start_service("web", {})
    yield unit
    await unit.close()


async def prepare(unit, script):
    result = await unit.execute(CommandSpec("prepare", ("sh", "-c", script), "web", timeout_s=60))
    assert (result.exit_code, result.stderr) == (0, b"")


def names(written, target):
    return sorted(str(path.relative_to(target)) for path in written)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/out/a.json", ["out/a.json"]),
        ("out/a.json", ["out/a.json"]),
        ("/out/*.json", ["out/a.json", "out/b.json"]),
        ("/out/?.json", ["out/a.json", "out/b.json"]),
        ("/out/[!a].json", ["out/b.json"]),
        ("/out/**/*.json", ["out/a.json", "out/b.json", "out/deep/er/c.json"]),
        ("/out/deep", ["out/deep/er/c.json"]),
        ("/o*t/deep/**", ["out/deep/er/c.json"]),
        ("/link/a.json", ["link/a.json"]),
        ("/link/*.json", ["link/a.json", "link/b.json"]),
        ("/to-a", ["to-a"]),
        ("/out/nothing*", []),
        ("/nowhere/x", []),
        ("/loop", []),
    ],
)
async def test_paths_and_globs_find_regular_files(unit, tmp_path, pattern, expected):
    await prepare(
        unit,
        "mkdir -p /out/deep/er; echo a >/out/a.json; echo b >/out/b.json; echo c >/out/deep/er/c.json; "
        "echo t >/out/t.txt; ln -s /out /link; ln -s out/a.json /to-a; ln -s loop /loop",
    )

    written = await unit.read_files("web", pattern, tmp_path)

    assert names(written, tmp_path) == expected


async def test_only_regular_files_come_out(unit, tmp_path):
    await prepare(
        unit, "mkdir /out; cd /out; echo x >f; ln -s /etc/passwd link; mkfifo pipe; mknod null c 1 3"
    )

    written = await unit.read_files("web", "/out", tmp_path)

    assert names(written, tmp_path) == ["out/f"]


async def test_names_mean_nothing_outside(unit, tmp_path):
    await prepare(
        unit, "mkdir /out; cd /out; echo x >'a\\b:c'; echo y >\"$(printf 'l1\\nl2')\"; echo z >'...'"
    )

    written = await unit.read_files("web", "/out", tmp_path)

    assert names(written, tmp_path) == ["out/___", "out/a_b_c", "out/l1_l2"]


async def test_link_planted_in_the_target_is_not_followed(unit, tmp_path):
    await prepare(unit, "mkdir /out; echo x >/out/f")
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "out").symlink_to(tmp_path / "outside")

    with pytest.raises(PermissionError):
        await unit.read_files("web", "/out/f", tmp_path / "target")

    assert list((tmp_path / "outside").iterdir()) == []


async def test_older_copy_is_replaced(unit, tmp_path):
    await prepare(unit, "mkdir /out; echo new >/out/f")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f").symlink_to(tmp_path / "elsewhere")

    (written,) = await unit.read_files("web", "/out/f", tmp_path)

    assert written.read_text() == "new\n"
    assert not written.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


async def test_file_beyond_the_limit_is_reported_and_left_out(unit, tmp_path):
    await prepare(unit, "mkdir /out; echo x >/out/small; truncate -s 70000000 /out/large")

    written = await unit.read_files("web", "/out", tmp_path)

    assert names(written, tmp_path) == ["out/small"]
    assert [(each.code, each.message) for each in unit.diagnostics()] == [
        ("CLN611", "`/out/large` is larger than 64 MiB and was not copied")
    ]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (FileLimits(files=2), (2, "at most 2 files")),
        (FileLimits(total_bytes=25_000), (2, "were not copied")),
        (FileLimits(read_bytes=20_000), (1, "the rest was not read")),
    ],
    ids=["files", "total", "read"],
)
async def test_sums_are_limited_too_and_the_container_can_still_be_removed(
    unit, engine, tmp_path, limits, expected
):
    await prepare(unit, "mkdir /out; for i in 1 2 3 4; do head -c 10000 /dev/zero >/out/$i; done")
    copying = Copying("/out", tmp_path, limits)

    copying.run(engine.client, unit._containers["web"].id)

    count, words = expected
    assert len(copying.written) == count
    assert words in copying.complaints[-1]


async def test_runner_that_never_started_has_no_files(unit, tmp_path):
    assert await unit.read_files(None, "/etc/passwd", tmp_path) == []
