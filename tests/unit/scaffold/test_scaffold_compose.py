from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.scaffold import scaffold
from clnrm_nb.scaffold.compose import from_compose
from clnrm_nb.scaffold.interpolation import interpolated
from clnrm_nb.scaffold.paper import IMAGE, Expression, literal
from clnrm_nb.template import TemplateRequest, render

COMPOSE = r"""
name: shop
x-common: &common
  restart: unless-stopped
  environment: &env
    LOG_LEVEL: ${LOG_LEVEL:-info}
    DEBUG: no
services:
  db:
    <<: *common
    image: postgres:${PG_TAG:-16.4}
    environment:
      <<: *env
      POSTGRES_PASSWORD: hunter2
    ports: ["5432:5432", "22:22"]
    volumes:
      - db-data:/var/lib/postgresql/data
      - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro
      - /var/run/docker.sock:/var/run/docker.sock
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U $${PGUSER} || exit 1"]
      interval: 5s
      retries: 5
    deploy: {resources: {limits: {memory: 256M, cpus: "0.50"}}, replicas: 2}
  migrate:
    image: shop-migrate:1.0
    command: ["./migrate", "up"]
  web:
    build: ./web
    command: python app.py --database postgres://shop:hunter2@db/shop --greeting "it's \"{{ here }}\""
    environment:
      - DATABASE_URL=postgres://shop:hunter2@db/shop
      - API_KEY
      - HOME_PAGE={{ page }}
      - EDGE=${A:-${B:-x y}}z
    ports:
      - "${PORT:-8000}:8000"
      - {target: 9000, published: "9001", protocol: udp}
      - 3000-3002
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    container_name: web
  admin:
    image: adminer
    profiles: [debug]
volumes: {db-data: {}}
"""


@pytest.fixture
def text() -> str:
    return scaffold(COMPOSE.encode(), name="docker-compose.yml").text


def test_what_comes_out_validates_without_errors_or_warnings(checked, text):
    found = checked(text)

    assert found.outcome == "ok", [str(one) for one in found.diagnostics]


def test_services_keep_what_compose_says_of_them(checked, text):
    test = checked(text, PORT="81").test

    db, web = test.services["db"], test.services["web"]
    assert db.image == "postgres:16.4"
    assert db.env == {"LOG_LEVEL": "info", "DEBUG": "no"}
    assert [(port.host, port.container) for port in db.ports] == [(0, 5432), (0, 22)]
    assert [(v.host_path, v.container_path, v.read_only) for v in db.volumes] == [
        ("init.sql", "/docker-entrypoint-initdb.d/init.sql", True)
    ]
    assert db.health_check.cmd == ("/bin/sh", "-c", "pg_isready -U ${PGUSER} || exit 1")
    assert (db.health_check.interval_s, db.health_check.retries) == (5, 5)
    assert (db.limits.memory_mb, db.limits.cpu_millicores) == (256, 500)
    assert web.depends_on == ("db",)
    assert [(port.container, port.protocol) for port in web.ports] == [
        *((8000, "tcp"), (9000, "udp"), (3000, "tcp"), (3001, "tcp"), (3002, "tcp"))
    ]
    assert web.env == {"HOME_PAGE": "{{ page }}", "EDGE": "x yz"}


def test_variables_of_the_compose_file_are_read_from_the_environment(checked, text):
    test = checked(text, PG_TAG="17", A="a").test

    assert test.services["db"].image == "postgres:17"
    assert test.services["web"].env["EDGE"] == "az"


def test_secrets_are_named_and_their_values_stand_nowhere(checked, text):
    test = checked(text, DATABASE_URL="postgres://elsewhere").test

    assert "hunter2" not in text
    assert test.secrets.env == ("API_KEY", "DATABASE_URL", "POSTGRES_PASSWORD")
    assert test.secrets.services == ("db", "web")
    assert test.services["web"].args[3] == "postgres://elsewhere"


def test_a_command_is_split_and_never_taken_for_a_template(checked, text):
    args = checked(text).test.services["web"].args

    assert args[-1] == 'it\'s "{{ here }}"'


def test_what_has_no_counterpart_is_said_in_comments(text):
    for words in (
        "container_name",
        "restart",
        "deploy.replicas",
        "service admin belongs to profile debug",
        "volume db-data",
        "docker.sock is left out",
        "compose builds the image from ./web",
        "migrate is a service of its own that runs once",
    ):
        assert any(words in line for line in text.splitlines() if line.startswith("#")), words


def test_an_unchanged_scaffold_cannot_pass(checked, text):
    test = checked(text).test

    (command,) = test.scenarios[0].run
    assert command.command[-1].endswith("exit 1")
    assert test.services["web"].image == IMAGE
    assert IMAGE.split("/")[0].endswith(".invalid")


def test_host_paths_start_at_the_scenario_file():
    made = from_compose(
        b"services: {a: {image: x, volumes: ['./data:/data', '$HOME/x:/x', 'named:/n']}}",
        name="c.yml",
        directory="../deploy",
    )

    assert '"../deploy/data"' in made
    assert '"${HOME}/x"' in made
    assert "every test starts with an empty one" in made


def test_a_service_inherits_what_it_extends(checked):
    made = from_compose(
        b"""
services:
  base: {image: "x:1", environment: {A: "1", B: "1"}, working_dir: /app}
  app: {extends: {service: base}, environment: {B: "2"}}
  odd: {extends: {service: odd}, image: y}
""",
        name="c.yml",
    )

    app = checked(made).test.services["app"]
    assert (app.image, app.workdir, app.env) == ("x:1", "/app", {"A": "1", "B": "2"})


def test_yaml_that_cannot_be_read_says_where():
    with pytest.raises(UsageError, match="line 3, column"):
        scaffold(b"services:\n  a: {image: x\n  b: ]", name="c.yml")


def test_aliases_that_multiply_are_refused_at_once():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(UsageError, match="aliases"):
        scaffold(f"{bomb}services:\n  web: {{image: x, command: *i}}\n".encode(), name="c.yml")


def test_a_trace_with_a_line_that_looks_like_compose_is_a_trace():
    trace = b'[{"name": "a b c", "trace_id": "1", "span_id": "2", "attributes": {\n\t"services": [1]}}]'

    assert scaffold(trace, name="t.json").kind == "trace"


def test_what_is_neither_compose_nor_trace_is_refused():
    with pytest.raises(ClnrmError, match="neither a compose file nor a recorded trace") as caught:
        scaffold(b"hello", name="x.txt")

    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("$A-$$A", {"A": "1"}, "1-$A"),
        ("${A-x}", {}, "x"),
        ("${A:?needed}", {}, ""),
        ("${A:+y}z", {"A": "1"}, "yz"),
        ("${A:+y}z", {}, "z"),
        ("${A:-${B:-${C:-deep}}}", {}, "deep"),
        ('${A:-say "it\'s"}', {}, 'say "it\'s"'),
        ("${A b}", {}, "${A b}"),
        ("cost: 5$", {}, "cost: 5$"),
    ],
)
def test_interpolation_gives_what_compose_gives(tmp_path, text, environ, value):
    source = f"x = {literal(interpolated(text))}\n"

    rendered = render(
        TemplateRequest(
            path=tmp_path / "a.tera", file="a", project_root=tmp_path, text=source, environ=environ
        )
    )

    assert rendered.text == f"x = {literal(value)}\n"


@given(st.text())
def test_any_text_survives_as_a_literal(text):
    import tomli

    clean = text.encode("utf-8", "replace").decode("utf-8")
    written = literal(clean)

    assert tomli.loads(f"x = {written}")["x"] == clean
    assert not any(opener in written for opener in ("{{", "{%", "{#"))


@given(st.text(alphabet="$ {}:-+?AB\"'ax", max_size=30))
def test_interpolation_of_any_text_renders_to_a_string(tmp_path_factory, text):
    import tomli

    value = interpolated(text)
    place = tmp_path_factory.getbasetemp()

    rendered = render(
        TemplateRequest(path=place / "a.tera", file="a", project_root=place, text=f"x = {literal(value)}\n")
    )

    assert isinstance(tomli.loads(rendered.text)["x"], str)
    if not isinstance(value, Expression):
        assert value == text.replace("$$", "$")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(
        ["environment", "ports", "volumes", "command", "healthcheck", "depends_on", "deploy", "build"]
    ),
)
def test_no_shape_of_a_service_raises_anything_but_a_usage_error(value, key):
    import json

    try:
        made = from_compose(json.dumps({"services": {"a": {"image": "x", key: value}}}).encode(), name="c")
    except UsageError:
        return
    assert made.startswith("#")
