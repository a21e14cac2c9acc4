"""Kinds of change to everything a test can depend on, as data: for tests and benchmarks of the cache.

:data:`CHANGES` must never be a hit, :data:`COSMETIC` must always be one. Each is applied to the project that
:class:`Place` makes, which touches every kind of input there is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clnrm_nb

FILE = "all.clnrm.toml.tera"

TEXT = """\
{% import "mine.toml.tera" as mine %}
{% import "extra.toml.tera" as extra %}
[meta]
name = "all"
version = "1"
description = "touches everything"
author = "ada"
tags = ["fast"]

[vars]
inner = "one"

[matrix]
size = [1]

[determinism]
seed = 7
freeze_clock = "2025-01-01T00:00:00Z"

[secrets]
env = ["API_KEY"]

[services.app]
plugin = "generic_container"
image = "busybox:1"
args = ["sleep", "60"]
wait_strategy = "none"
env = { MODE = "a", LEVEL = "1" }
volumes = [
    { host_path = "data", container_path = "/data", read_only = true },
    { host_path = "link", container_path = "/link", read_only = true },
    { host_path = "${DATA_DIR:-data}", container_path = "/named", read_only = true },
]

[services.app.limits]
memory_mb = 64

[otel]
exporter = "stdout"
resources = { "team" = "x" }

[[scenario]]
name = "only"
timeout_ms = 30000

[[scenario.steps]]
name = "first"
command = ["sh", "-c", "echo ran >> {{ count }}", "{{ inner }}", "{{ svc }}", "{{ matrix.size }}"]

{% include "part.toml.tera" %}
{{ mine::step(name="from a macro") }}
{{ extra::step(name=env(name="GREETING", default="hello")) }}
{% for word in ["a", "b"] %}
[[scenario.steps]]
name = "{{ word }}{{ given | default(value='none') }}"
command = ["true", "{{ loop.index }}"]
{% endfor %}
"""

STEP = """\
{% macro step(name) %}
[[scenario.steps]]
name = "FILE {{ name }}"
command = ["true"]
{% endmacro %}
"""

ANOTHER = """
[[scenario.steps]]
name = "NAME"
command = ["true"]
"""


class Place:
    """A project of one test, and what is given to its runs from outside.

    Attributes
    ----------
    environ : dict of str to (str or None)
        Variables to set for each run, or to unset.
    options : dict
        Options of each run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.count = root / "count"
        self.home = root / "home"
        self.environ: dict[str, str | None] = {
            "GREETING": None,
            "DATA_DIR": None,
            "SERVICE_NAME": None,
            "API_KEY": "a-key-of-the-first-run",
            "LANG": "C.UTF-8",
            "XDG_CONFIG_HOME": str(self.home),
        }
        self.options: dict[str, Any] = {"vars": {"count": str(self.count)}, "backend": "process"}
        for folder in (".clnrm", "templates", "data", "data/inner", "other", "lib"):
            (self.root / folder).mkdir(parents=True)
        (self.home / "cleanroom").mkdir(parents=True)
        self.write("data/a.txt", "1")
        self.write("data/inner/b.txt", "1")
        self.write("other/a.txt", "another")
        (self.root / "link").symlink_to("data")
        self.write("mine.toml.tera", STEP.replace("FILE", "mine"))
        self.write("lib/extra.toml.tera", STEP.replace("FILE", "extra"))
        self.write(".clnrm/config.toml", '[template]\nmacros = ["lib/extra.toml.tera"]\n')
        self.write("templates/part.toml.tera", '{% include "deep.toml.tera" %}\n')
        self.write("templates/real.toml.tera", ANOTHER.replace("NAME", "deep"))
        (self.root / "templates/deep.toml.tera").symlink_to("real.toml.tera")
        self.write(FILE, TEXT)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.root / name).write_text(text)

    def edit(self, old: str, new: str, name: str = FILE) -> None:
        """Replace a text that is there once."""
        text = (self.root / name).read_bytes().decode()
        assert text.count(old) == 1, (old, text.count(old))
        (self.root / name).write_bytes(text.replace(old, new).encode())

    def run(self, **options: Any) -> Any:
        """One run of the test, from the project."""
        here, before = Path.cwd(), {name: os.environ.get(name) for name in self.environ}
        os.chdir(self.root)
        _set(self.environ)
        try:
            return clnrm_nb.run([FILE], **{**self.options, **options})
        finally:
            os.chdir(here)
            _set(before)

    @property
    def runs(self) -> int:
        """How often the test has really run."""
        return len(self.count.read_text().splitlines()) if self.count.exists() else 0


def _set(environ: dict[str, str | None]) -> None:
    for name, value in environ.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


Change = Callable[[Place, str], object]


def _edit(old: str, new: str, name: str = FILE) -> Change:
    return lambda place, value: place.edit(old, new.replace("VALUE", value), name)


def _option(**options: Any) -> Change:
    return lambda place, value: place.options.update(options)


def _environ(name: str) -> Change:
    return lambda place, value: place.environ.update({name: value})


def _added(name: str) -> Change:
    return lambda place, value: place.write(name, value)


def _link(name: str, target: str) -> Change:
    def change(place: Place, value: str) -> None:
        (place.root / name).unlink()
        (place.root / name).symlink_to(target)

    return change


def _relinked_include(place: Place, value: str) -> None:
    place.write("templates/other.toml.tera", ANOTHER.replace("NAME", value))
    _link("templates/deep.toml.tera", "other.toml.tera")(place, value)


def _kept_times(place: Place, value: str) -> None:
    """Other content of the same size under the same time."""
    file = place.root / "data/a.txt"
    found = file.stat()
    file.write_text("2")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES: dict[str, Change] = {
    "a variable of the command line": lambda place, value: place.options["vars"].update(given=value),
    "the type of a variable": lambda place, value: place.options["vars"].update(given=1.0),
    "a notebook parameter": _option(parameters={"given": "told by a notebook"}),
    "a variable of [vars]": _edit('inner = "one"', 'inner = "VALUE"'),
    "a variable of the environment": _environ("SERVICE_NAME"),
    "the environment read by the template": _environ("GREETING"),
    "the environment that programs see": _environ("LANG"),
    "the environment in the path of a mount": lambda place, value: place.environ.update(DATA_DIR="other"),
    "the value of a secret": _environ("API_KEY"),
    "an include of an include": _edit('"deep"', '"VALUE"', "templates/real.toml.tera"),
    "where a link to an include leads": _relinked_include,
    "an include that stands nearer now": lambda place, value: place.write(
        "part.toml.tera", ANOTHER.replace("NAME", value)
    ),
    "an import": _edit('["true"]', '["true", "VALUE"]', "mine.toml.tera"),
    "a library of template.macros": _edit('["true"]', '["true", "VALUE"]', "lib/extra.toml.tera"),
    "an import that stands nearer now": lambda place, value: place.write(
        "extra.toml.tera", STEP.replace("FILE", value)
    ),
    "the value of a matrix": _edit("size = [1]", "size = [2]"),
    "an argument of a command": _edit('["true", "{{ loop.index }}"]', '["true", "VALUE"]'),
    "the elements of a loop": _edit('["a", "b"]', '["a", "VALUE"]'),
    "the name of a scenario": _edit('"only"', '"VALUE"'),
    "a step more": lambda place, value: place.write(FILE, TEXT + ANOTHER.replace("NAME", value)),
    "a scenario more": lambda place, value: place.write(
        FILE, f'{TEXT}[[scenario]]\nname = "{value}"\nrun = ["true"]\n'
    ),
    "the limit of a scenario": _edit("timeout_ms = 30000", "timeout_ms = 30001"),
    "the limit of the test": _edit('version = "1"\n', 'version = "1"\ntimeout = "60s"\n'),
    "the environment of a service": _edit('MODE = "a"', 'MODE = "VALUE"'),
    "the image of a service": _edit('"busybox:1"', '"busybox:VALUE"'),
    "the arguments of a service": _edit('["sleep", "60"]', '["sleep", "61"]'),
    "the limits of a service": _edit("memory_mb = 64", "memory_mb = 65"),
    "a mounted file": _added("data/a.txt"),
    "a mounted file of the same size and time": _kept_times,
    "a new file in a mounted directory": _added("data/inner/new.txt"),
    "a file renamed in a mounted directory": lambda place, value: (place.root / "data/a.txt").rename(
        place.root / f"data/{value}.txt"
    ),
    "a file gone from a mounted directory": lambda place, value: (place.root / "data/inner/b.txt").unlink(),
    "the mode of a mounted file": lambda place, value: (place.root / "data/a.txt").chmod(0o700),
    "where a mounted link leads": _link("link", "other"),
    "where it is mounted": _edit('container_path = "/data"', 'container_path = "/VALUE"'),
    "whether a mount may be written to": _edit(
        'container_path = "/link", read_only = true', 'container_path = "/link", read_only = false'
    ),
    "the seed": _edit("seed = 7", "seed = 8"),
    "the clock": _edit("2025-01-01", "2025-01-02"),
    "a resource of the traces": _edit('"team" = "x"', '"team" = "VALUE"'),
    "--memory": _option(memory=333),
    "--cpu": _option(cpu=0.5),
    "--timeout": _option(timeout="77s"),
    "--isolation": _option(isolation="fresh"),
    "the default image": lambda place, value: place.write(
        ".clnrm/config.toml",
        f'[template]\nmacros = ["lib/extra.toml.tera"]\n[containers]\ndefault_image = "busybox:{value}"\n',
    ),
    "the user's configuration": lambda place, value: (place.home / "cleanroom/cleanroom.toml").write_text(
        '[test_execution]\nstep_timeout = "44s"\n'
    ),
    "the list of template.macros": lambda place, value: (
        (place.root / "lib2").mkdir(exist_ok=True),
        place.write("lib2/extra.toml.tera", STEP.replace("FILE", value)),
        place.write(".clnrm/config.toml", '[template]\nmacros = ["lib2/extra.toml.tera"]\n'),
    ),
}
"""By what has changed; each takes the project and a text to put there."""

_MOVABLE = '[otel]\nexporter = "stdout"\nresources = { "team" = "x" }\n'

COSMETIC: dict[str, Change] = {
    "a comment": _edit("[vars]", "# VALUE\n[vars]"),
    "a comment behind a value": _edit("seed = 7", "seed = 7  # VALUE"),
    "blank lines": _edit("[matrix]", "\n\n\n[matrix]"),
    "the order of keys": _edit('author = "ada"\ntags = ["fast"]', 'tags = ["fast"]\nauthor = "ada"'),
    "an inline table as a table": _edit('resources = { "team" = "x" }', "[otel.resources]\nteam = 'x'"),
    "quotes": _edit('name = "only"', "name = 'only'"),
    "the spelling of a number": _edit("timeout_ms = 30000", "timeout_ms = 30_000"),
    "the description": _edit("touches everything", "VALUE"),
    "the author": _edit('"ada"', '"VALUE"'),
    "spaces at the end of a line": _edit("seed = 7", "seed = 7   "),
    "line ends": lambda place, value: place.write(FILE, TEXT.replace("\n", "\r\n")),
    "a comment of the template": _edit("[vars]", "{# VALUE #}\n[vars]"),
    "control of white space": _edit("{% endfor %}", "{%- endfor -%}"),
    "the name of a loop's variable": lambda place, value: (
        place.edit("{% for word in", "{% for other in"),
        place.edit('"{{ word }}', '"{{ other }}'),
    ),
    "a table that has moved": lambda place, value: place.write(
        FILE, TEXT.replace(_MOVABLE, "") + f"\n{_MOVABLE}"
    ),
    "the time of the file": lambda place, value: (place.root / FILE).touch(),
    "the same content written again": lambda place, value: place.write(FILE, TEXT),
}
"""Edits that make no difference to what runs."""
