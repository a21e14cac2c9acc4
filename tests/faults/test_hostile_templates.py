"""Templates written to break out, to hang or to eat the machine: each ends in a finding, in little time and memory.

Issue 4: at least sixty, each within 1 s and 256 MB, none escapes. A template here either asks for too much (a limit,
CLN108) or for what there is not (CLN101 to CLN109); in no case is it rendered.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST_CPU_S = 1.0
MOST_MB = 256

_DOUBLING = "{% set x = 'aaaaaaaa' %}{% for i in range(99) %}{% set_global x = STEP %}{% endfor %}"
_LONG = "{% set x = 'aaaaaaaa' %}{% for i in range(20) %}{% set_global x = x ~ x %}{% endfor %}"
"""`x` of 8 MiB, within all limits."""

REACHING = {
    "class of a string": "{{ ''.__class__ }}",
    "class by subscript": "{{ ''['__class__']['__mro__'][1]['__subclasses__'] }}",
    "class of a variable": "{{ svc.__class__.__mro__ }}",
    "class of an array": "{{ [].__class__.__base__.__subclasses__() }}",
    "class by a filter": "{{ [svc] | map(attribute='__class__.__init__.__globals__') | first | nope }}",
    "class by sort": "{{ [svc, svc] | sort(attribute='__class__') }}",
    "class by get": "{{ vars | get(key='__class__') }}",
    "globals of a function": "{{ range.__globals__ }}",
    "globals of a macro": "{% macro f() %}{% endmacro %}{{ self.f.__globals__ }}",
    "the file itself": "{{ self.__init__ }}",
    "the context": "{{ context.run.inputs }}",
    "the environment": "{{ environment.filters }}",
    "the loop": "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "format of a string": "{{ '{0.__class__}'.format(1) }}",
    "a method": "{{ [].append(1) }}",
    "attr": "{{ svc | attr('__class__') }}",
    "Jinja's own functions": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "Jinja's lipsum": "{{ lipsum.__globals__['os'] }}",
    "import of a module": "{% import 'os' as os %}{{ os.system('id') }}",
    "eval": "{{ eval('1') }}",
    "a name of compiled code": "{{ operation_0 }}{{ t_1 }}{{ missing }}",
    "another process's environment": "{{ get_env(name='PATH') }}",
}
OUTSIDE = {
    "parent folder": "{% include '../secret.tera' %}",
    "absolute path": "{% include '/etc/hostname' %}",
    "symbolic link to a file": "{% include 'link.tera' %}",
    "symbolic link to a folder": "{% include 'out/secret.tera' %}",
    "import from outside": "{% import '../secret.tera' as m %}{{ m::f() }}",
    "extends outside": "{% extends '../secret.tera' %}",
    "list of files": "{% include ['no.tera', 'out/secret.tera'] %}",
    "name made up at run time": "{% include '..' ~ '/secret.tera' %}",
    "a device": "{% include '/dev/zero' %}",
    "a link to a device": "{% include 'zero.tera' %}",
    "a pipe": "{% include 'pipe.tera' %}",
    "a zero byte": "{% include 'a\0b' %}",
}
ENDLESS = {
    "macro that calls itself": "{% macro a() %}{{ self::a() }}{% endmacro %}{{ self::a() }}",
    "macro that calls itself twice": "{% macro a() %}{{ self::a() }}{{ self::a() }}{% endmacro %}{{ a() }}",
    "two macros": "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ b() }}",
    "macro in its own argument": "{% macro a(x) %}{{ self::a(x=self::a(x=x)) }}{% endmacro %}{{ a(1) }}",
    "include of itself": "{% include 'itself.tera' %}",
    "includes of each other": "{% include 'ping.tera' %}",
    "doubling includes": "{% include 'twice0.tera' %}",
    "extends itself": "{% extends 'extends.tera' %}",
    "import of itself": "{% import 'imports.tera' as m %}{{ m::f() }}",
    "three loops": "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loop over a long string": _LONG + "{% for c in x %}{% for d in x %}{% endfor %}{% endfor %}",
    "huge range": "{{ range(1000000000000) }}",
    "huge range of an argument": "{% for i in range(start=0, end=9223372036854775807, step_by=1) %}{% endfor %}",
    "many ranges": "{% for i in range(1000) %}{% set r = range(9999) %}{% endfor %}",
}
GROWING = {
    "concatenation": _DOUBLING.replace("STEP", "x ~ x"),
    "replace": _DOUBLING.replace("STEP", "x | replace('a', x)"),
    "replace of nothing": _DOUBLING.replace("STEP", "x | replace('', x)"),
    "join": _DOUBLING.replace("STEP", "[x, x, x] | join(x)"),
    "array": "{% set x = [1] %}{% for i in range(99) %}{% set_global x = x | concat(x) %}{% endfor %}",
    "array of arrays": "{% set x = [1] %}{% for i in range(99) %}{% set_global x = [x, x] %}{% endfor %}{{ x }}",
    "array as JSON": "{% set x = [1] %}{% for i in range(60) %}{% set_global x = [x, x] %}{% endfor %}"
    "{{ x | json_encode }}",
    "array as TOML": "{% set x = [1] %}{% for i in range(60) %}{% set_global x = [x, x] %}{% endfor %}"
    "{{ x | toml_encode }}",
    "arrays compared": "{% set x = [1] %}{% set y = [1] %}{% for i in range(60) %}{% set_global x = [x, x] %}"
    "{% set_global y = [y, y] %}{% endfor %}{{ x == y }}",
    "split and join": _LONG + "{{ x | split('') | join(x) }}",
    "indent": "{{ 'a\n' ~ 'b\n' | indent(prefix=big) | indent(prefix=big) | indent(prefix=big) | indent(prefix=big)"
    " | indent(prefix=big) | indent(prefix=big) }}",
    "escape": _DOUBLING.replace("STEP", "x ~ '&&&' | escape | urlencode_strict | urlencode_strict"),
    "array by ones": "{% set x = [] %}{% for i in range(500000) %}{% set_global x = x | concat(i) %}{% endfor %}",
    "text by ones": "{% set x = '' %}{% for i in range(500000) %}{% set_global x = x ~ 'a' %}{% endfor %}",
    "search in a long array": "{% set r = range(100000) %}{% for i in range(100000) %}{% if -1 in r %}{% endif %}{% endfor %}",
    "sorting again and again": "{% set r = range(100000) %}{% for i in range(9999) %}{% set q = r | sort %}{% endfor %}",
    "pretty JSON": _LONG + "{{ [x, x] | json_encode(pretty=true) | json_encode(pretty=true) }}",
    "trimmed letter by letter": _LONG + "{{ x | trim_end_matches('a') | nope }}",
    "JSON of JSON": "{% set x = '\"' %}{% for i in range(99) %}{% set_global x = x | json_encode %}{% endfor %}",
    "a section": "{% set x = 'aaaaaaaa' %}{% for i in range(23) %}{% set_global x = x ~ x %}{% endfor %}"
    "{% filter upper %}{{ x }}{{ x }}{{ x }}{% endfilter %}",
    "100 MB of output": "{% for i in range(100000) %}{{ kilobyte }}{% endfor %}",
    "100 MB from a macro": "{% macro f() %}{{ kilobyte }}{% endmacro %}{% for i in range(100000) %}{{ f() }}{% endfor %}",
    "100 MB kept": "{% for i in range(10) %}{% set_global a = a | default('') ~ big ~ big %}{% endfor %}"
    "{% for i in range(10000) %}{% set b = a ~ i %}{% endfor %}",
    "titles": _LONG + "{{ x ~ x | title | title | slug | kebab | snake | camel | pascal }}",
    "graphemes": _LONG + "{{ x ~ 'e\u0301' | truncate(length=4000000) }}{{ x ~ x }}{{ x }}",
    "reverse": _LONG + "{% for i in range(99) %}{% set_global x = x | reverse %}{% endfor %}",
    "fake string": "{{ fake_string(len=1000000000) }}",
    "fake words": "{{ fake_words(count=1000000000) }}",
    "fake many": "{{ fake(kind='name', n=1000000000) }}",
    "fake in a loop": "{% for i in range(99999) %}{{ fake_string(len=100000) }}{% endfor %}",
    "hex digits": "{{ rand_hex(n=1000000000) }}",
    "sample": "{{ sample(range(900000), 900000) | join(',') }}{{ shuffle(range(900000)) }}",
    "baggage": "{% for i in range(9999) %}{{ baggage({a: big, b: big}) }}{% endfor %}",
    "matrix": "[matrix]\n" + "".join(f"k{i} = {list(range(20))}\n" for i in range(20)),
}
DEEP = {
    "parentheses": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "brackets": "{{ " + "[" * 100_000 + " }}",
    "objects": "{{ " + "{a: " * 50_000 + " }}",
    "subscripts": "{{ svc" + "[svc" * 20_000 + "]" * 20_000 + " }}",
    "ternaries": "{{ " + "1 if svc else " * 20_000 + "2 }}",
    "filters": "{{ svc" + " | trim" * 20_000 + " }}",
    "arguments": "{{ svc" + " | default(svc" * 20_000 + ")" * 20_000 + " }}",
    "macro calls": "{% macro f(x) %}{% endmacro %}{{ " + "f(" * 20_000 + ")" * 20_000 + " }}",
    "conditions": "{% if true %}" * 10_000,
    "loops": "{% for a in [1] %}" * 40 + "{% endfor %}" * 40,
    "sections": "{% filter upper %}" * 10_000 + "{% endfilter %}" * 10_000,
    "TOML made": "a = {% for i in range(100000) %}[{% endfor %}",
    "TOML keys made": "a{% for i in range(20000) %}.a{% endfor %} = 1",
    "TOML tables made": "{% for i in range(3000) %}[a{% for j in range(i) %}.a{% endfor %}]\n{% endfor %}",
    "huge integer": "{{ " + "9" * 1_000_000 + " }}",
    "huge float": "{{ " + "9" * 1_000_000 + ".5 }}",
    "huge float in TOML": "a = {{ '9' ~ '9' }}" + "9" * 500_000,
    "overflow": "{% set x = 3 %}{% for i in range(99) %}{% set_global x = x * x %}{% endfor %}",
    "power": "{{ 9 ** 999999999 }}",
    "power of a float": "{{ 9.5 ** 999999999 }}",
    "openers": "{{ " * 50_000 + "}}",
    "tags of nonsense": "{% x %}" * 20_000,
    "one line of markers": "[vars]\na = 1\n" + "{{ nope }}" * 6_000,
    "quotes": "{{ " + "\"'`" * 30_000 + " }}",
    "minus signs": "{{ " + "-" * 100_000 + "'a' }}",
    "negations": "{{ " + "not " * 100_000 + "nope.nope }}",
    "comparisons": "{{ " + "1 < " * 50_000 + "2 }}",
}
CATASTROPHIC = {
    "regex in a test": "{{ (x ~ '!' is matching('^(a+)+$')) ~ nope }}".replace("x ~ '!'", "a3000"),
    "regex of alternatives": "{{ a3000 is matching('(a|aa)+$') or nope.nope ~ 1 }}",
    "regex of repetitions": "{{ a3000 is matching('(a{1,999}){1,999}$') }}{{ nope }}",
    "regex of references": r"{{ a3000 is matching('(a*)*\1b') }}{{ nope }}",
    "regex in the file": '[meta]\nname = "a"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = "true"\n'
    "expected_output_regex = \"{{ a3000 | replace('a', '(') }}\"\n",
    "combining characters": "{{ 'e' ~ marks | truncate(length=1) ~ nope }}",
    "unclosed comments": "{{ comments | striptags | spaceless ~ nope }}",
    "unclosed tags": "{{ less | striptags | spaceless ~ nope }}",
}
FAMILIES = {
    "reaching": REACHING,
    "outside": OUTSIDE,
    "endless": ENDLESS,
    "growing": GROWING,
    "deep": DEEP,
    "catastrophic": CATASTROPHIC,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with something outside that must not be reached, and templates that refer to themselves."""
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret.tera").write_text("secret {% macro f() %}secret{% endmacro %}")
    (project / "link.tera").symlink_to(tmp_path / "secret.tera")
    (project / "out").symlink_to(tmp_path)
    (project / "zero.tera").symlink_to("/dev/zero")
    os.mkfifo(project / "pipe.tera")
    (project / "itself.tera").write_text("{% include 'itself.tera' %}")
    (project / "ping.tera").write_text("{% include 'pong.tera' %}{% include 'pong.tera' %}")
    (project / "pong.tera").write_text("{% include 'ping.tera' %}{% include 'ping.tera' %}")
    (project / "extends.tera").write_text("{% extends 'extends.tera' %}")
    (project / "imports.tera").write_text(
        "{% import 'imports.tera' as m %}{% macro f() %}{{ m::f() }}{% endmacro %}"
    )
    for level in range(40):
        again = f"{{% include 'twice{level + 1}.tera' %}}" * 2
        (project / f"twice{level}.tera").write_text(again if level < 39 else "x" * 1000)
    return project


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_templates_end_in_a_finding_within_a_second_and_256_mb(family: str, root: Path) -> None:
    tasks = [{"id": name, "template": text, "root": str(root)} for name, text in FAMILIES[family].items()]
    runner = Path(__file__).with_name("hostile.py")

    done = subprocess.run(
        [sys.executable, str(runner)],
        input="\n".join(map(json.dumps, tasks)),
        capture_output=True,
        text=True,
        check=True,
    )

    results = [json.loads(line) for line in done.stdout.splitlines()]
    print(
        f"\n{family}: {len(results)} templates, most {max(r['cpu_s'] for r in results):.2f} s, "
        f"{max(r['peak_mb'] for r in results):.0f} MB"
    )
    assert len(results) == len(tasks)
    assert [(r["id"], r["escaped"]) for r in results if r["escaped"]] == []
    assert [r["id"] for r in results if not r["codes"]] == []
    assert [(r["id"], r["cpu_s"]) for r in results if r["cpu_s"] > MOST_CPU_S] == []
    assert [(r["id"], r["peak_mb"]) for r in results if r["peak_mb"] > MOST_MB] == []


def test_hostile_templates_are_sixty_and_more() -> None:
    assert sum(map(len, FAMILIES.values())) >= 60
