from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clnrm_nb.config.nearest import distance, nearest
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import Settings, load_settings
from clnrm_nb.config.sources import KEYS
from clnrm_nb.errors import ConfigError, UsageError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    (root / ".clnrm").mkdir(parents=True)
    return Project(root, root / ".clnrm")


class Load:
    """Settings of a project, with files laid down as told."""

    def __init__(self, project: Project, home: Path) -> None:
        self.project = project
        self.environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
        self.user = home / "config" / "cleanroom" / "cleanroom.toml"
        self.user.parent.mkdir(parents=True)

    def __call__(self, *, environ: dict[str, str] | None = None, **options: Any) -> Settings:
        return load_settings(self.project, environ=self.environ | (environ or {}), **options)

    def refused(self, **options: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self(**options)
        assert caught.value.exit_code == 2
        return [str(finding) for finding in caught.value.diagnostics]


@pytest.fixture
def load(project: Project, tmp_path: Path) -> Load:
    return Load(project, tmp_path / "home")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------- defaults


def test_without_any_source_every_key_has_its_default(load: Load) -> None:
    settings = load()

    assert settings == Settings()
    assert settings.diagnostics == ()
    assert {settings.origin(key) for key in KEYS} == {"default"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("watch.debounce_ms", 300),
        ("watch.settle_ms", 50),
        ("cache.max_size_mb", 2048),
        ("cache.shared.write", False),
        ("executor.backend", "docker"),
        ("executor.worker_count", 0),
        ("executor.max_concurrent_containers", 20),
        ("executor.step_timeout", 60.0),
        ("executor.test_timeout", 300.0),
        ("executor.isolation", "warm"),
        ("executor.flush_max_ms", 5000),
        ("executor.limits.container_memory_mb", 512),
        ("executor.limits.container_cpu_limit", 1.0),
        ("executor.dask.inner", "docker"),
        ("containers.default_image", "alpine:latest"),
        ("containers.pull_policy", "if-not-present"),
        ("security.allow", ()),
        ("receiver.max_request_mb", 20),
        ("template.strict_toml", "1.1"),
        ("diff.max_display_depth", 10),
        ("baseline.require", False),
        ("lint.deny_warnings", False),
        ("output.color", "auto"),
        ("notebook.max_rows", 1000),
        ("notebook.raise", "auto"),
    ],
)
def test_defaults_are_those_of_the_format(key: str, value: object) -> None:
    assert Settings().value(key) == value


def test_zero_workers_are_as_many_as_there_are_cpus() -> None:
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    assert Settings().executor.effective_worker_count == expected


def test_a_zero_memory_budget_is_a_share_of_the_memory_and_never_more_than_9216() -> None:
    assert 0 < Settings().executor.effective_memory_budget_mb <= 9216


# ----------------------------------------------------------------------------------------------- sources


def test_each_source_wins_over_those_below_it_and_is_named_as_the_origin(load: Load, tmp_path: Path) -> None:
    key, seen = "executor.retries", []
    chosen = tmp_path / "more.toml"

    def look(**options: Any) -> None:
        settings = load(**options)
        seen.append((settings.executor.retries, settings.origin(key)))

    look()
    write(load.user, "[executor]\nretries = 1\n")
    look()
    write(load.project.root / "cleanroom.toml", "[executor]\nretries = 2\n")
    look()
    write(load.project.state_dir / "config.toml", "[executor]\nretries = 3\n")
    look()
    write(chosen, "[executor]\nretries = 4\n")
    look(config_file=chosen)
    look(config_file=chosen, environ={"CLNRM_NB_EXECUTOR_RETRIES": "5"})
    look(config_file=chosen, environ={"CLNRM_NB_EXECUTOR_RETRIES": "5"}, overrides={key: 6})

    assert seen == [
        (0, "default"),
        (1, load.user.as_posix()),
        (2, "cleanroom.toml"),
        (3, ".clnrm/config.toml"),
        (4, chosen.as_posix()),
        (5, "environment CLNRM_NB_EXECUTOR_RETRIES"),
        (6, "command line"),
    ]


def test_tables_are_merged_key_by_key(load: Load) -> None:
    write(load.project.root / "cleanroom.toml", "[executor]\nretries = 2\ngroups = {gpu = 1, db = 2}\n")
    write(load.project.state_dir / "config.toml", "[executor]\nmax_fail = 3\n[executor.groups]\ngpu = 4\n")

    settings = load(environ={"CLNRM_NB_EXECUTOR_GROUPS_NET": "7"})

    assert settings.executor.retries == 2
    assert settings.executor.max_fail == 3
    assert settings.executor.groups == {"gpu": 4, "db": 2, "net": 7}


def test_overrides_that_say_nothing_change_nothing(load: Load) -> None:
    assert load(overrides={"executor.retries": None}).origin("executor.retries") == "default"


def test_an_override_of_no_key_is_a_usage_error_with_the_nearest_one(load: Load) -> None:
    with pytest.raises(UsageError, match=r"`executor.retrys`; did you mean `executor.retries`\?"):
        load(overrides={"executor.retrys": 1})


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("CLNRM_NB_EXECUTOR_LIMITS_CONTAINER_MEMORY_MB", "64", "executor.limits.container_memory_mb", 64),
        ("CLNRM_NB_DISCOVERY_IGNORE", '["drafts/**"]', "discovery.ignore", ("drafts/**",)),
        ("CLNRM_NB_EXECUTOR_STEP_TIMEOUT", "1m", "executor.step_timeout", 60.0),
        ("CLNRM_NB_EXECUTOR_STEP_TIMEOUT", "7", "executor.step_timeout", 7.0),
        ("CLNRM_NB_TEMPLATE_STRICT_TOML", "1.0", "template.strict_toml", "1.0"),
        ("CLNRM_NB_NOTEBOOK_RAISE", "never", "notebook.raise", "never"),
        ("CLNRM_NB_OUTPUT_EMOJI", "false", "output.emoji", False),
        ("CLEANROOM_CONTAINERS_DEFAULT_IMAGE", "debian:12", "containers.default_image", "debian:12"),
        ("CLEANROOM_CLI_JOBS", "3", "executor.worker_count", 3),
    ],
)
def test_variables_of_the_environment_are_read_as_toml_or_text(
    load: Load, name: str, text: str, key: str, value: object
) -> None:
    assert load(environ={name: text}).value(key) == value


def test_our_variable_wins_over_the_older_one_of_the_same_key(load: Load) -> None:
    environ = {"CLEANROOM_CLI_WATCH": "true", "CLNRM_NB_CLI_WATCH": "false"}

    assert load(environ=environ).cli.watch is False


def test_older_variables_reach_only_keys_of_cleanroom_toml(load: Load) -> None:
    settings = load(environ={"CLEANROOM_EXECUTOR_RETRIES": "5", "CLEANROOM_SOMETHING_ELSE": "x"})

    assert settings.executor.retries == 0
    assert settings.diagnostics == ()


def test_a_config_file_that_was_asked_for_must_be_there(load: Load, tmp_path: Path) -> None:
    assert "CLN803" in load.refused(config_file=tmp_path / "gone.toml")[0]


def test_the_state_directory_brings_its_own_configuration(project: Project, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    write(state / "config.toml", "[executor]\nretries = 2\n")

    settings = load_settings(Project(project.root, state), environ={"HOME": str(tmp_path / "home")})

    assert settings.executor.retries == 2


# ----------------------------------------------------------------------------------- cleanroom.toml names


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[cli]\njobs = 4", "executor.worker_count", 4),
        ("[cli]\njobs = 4\nparallel = false", "executor.worker_count", 1),
        ("[cli]\njobs = 4\nparallel = true", "executor.worker_count", 4),
        ("[cli]\nfail_fast = true", "executor.fail_fast", True),
        ("[containers]\nmax_containers = 5", "executor.max_concurrent_containers", 5),
        ("[performance]\ncontainer_pool_size = 5", "executor.pool.size", 5),
        ('[test_execution]\ndefault_timeout = "5m"', "executor.test_timeout", 300.0),
        ('[test_execution]\nstep_timeout = "5s"', "executor.step_timeout", 5.0),
        ("[test_execution]\nretry_on_failure = true", "executor.retries", 3),
        ("[test_execution]\nretry_on_failure = true\nretry_count = 2", "executor.retries", 2),
        ("[test_execution]\nretry_count = 2", "executor.retries", 0),
    ],
)
def test_cleanroom_names_work_under_ours(load: Load, text: str, key: str, value: object) -> None:
    write(load.project.root / "cleanroom.toml", text)

    settings = load()

    assert settings.value(key) == value
    assert settings.diagnostics == ()


def test_our_name_wins_over_a_cleanroom_name_wherever_either_stands(load: Load) -> None:
    write(load.user, "[executor]\nworker_count = 8\n")
    write(load.project.root / "cleanroom.toml", "[cli]\njobs = 4\nparallel = false\n")

    settings = load(environ={"CLEANROOM_CLI_JOBS": "2"})

    assert settings.executor.worker_count == 8
    assert settings.origin("executor.worker_count") == load.user.as_posix()


def test_a_full_cleanroom_file_is_read_without_a_word(load: Load) -> None:
    write(
        load.project.root / "cleanroom.toml",
        """
[project]
name = "shop"
[cli]
interactive = false
[containers]
reuse_enabled = true
cleanup_policy = "on-success"
startup_timeout = "90s"
[services]
default_timeout = "30s"
health_check_interval = "5s"
max_retries = 5
[observability]
enable_tracing = true
metrics_port = 9090
log_level = "info"
[plugins]
auto_discover = true
enabled_plugins = ["surrealdb"]
[performance]
lazy_initialization = true
[reporting]
generate_html = true
include_logs = true
[security]
file_system_isolation = true
security_level = "high"
""",
    )

    settings = load()

    assert settings.diagnostics == ()
    assert settings.service_timeout_s == 30.0
    assert settings.containers.startup_timeout_s == 90.0
    assert settings.services.max_retries == 5
    assert settings.security.security_level == "high"
    assert settings.reporting.generate_html is True


# -------------------------------------------------------------------------------------------- bad sources


def test_unknown_keys_are_warned_about_with_the_nearest_one_and_their_place(load: Load) -> None:
    write(
        load.project.root / "cleanroom.toml",
        "[watch]\ndebounce = 5\n\n[exector]\nretries = 1\n[executor.limits]\nmemory = 3\n[zzz]\n",
    )

    assert [str(finding) for finding in load().diagnostics] == [
        "cleanroom.toml:2:1: CLN801 unknown key `watch.debounce`; did you mean `debounce_ms`?",
        "cleanroom.toml:4:1: CLN801 unknown key `exector`; did you mean `executor`?",
        "cleanroom.toml:7:1: CLN801 unknown key `executor.limits.memory`",
        "cleanroom.toml:8:1: CLN801 unknown key `zzz`",
    ]


def test_an_unknown_variable_of_ours_is_warned_about(load: Load) -> None:
    settings = load(environ={"CLNRM_NB_EXECUTOR_RETRYS": "1"})

    assert [finding.message for finding in settings.diagnostics] == [
        "unknown environment variable `CLNRM_NB_EXECUTOR_RETRYS`; did you mean `CLNRM_NB_EXECUTOR_RETRIES`?"
    ]


def test_a_file_that_does_not_parse_stops_everything(load: Load) -> None:
    write(load.project.state_dir / "config.toml", "[watch]\ndebounce_ms 5\n")

    (finding,) = load.refused()

    assert finding.startswith(".clnrm/config.toml:2:")
    assert "CLN803 `.clnrm/config.toml`, line 2: " in finding


def test_a_file_that_is_not_utf8_stops_everything(load: Load) -> None:
    (load.project.root / "cleanroom.toml").write_bytes(b"a = '\xff'\n")

    assert load.refused() == [
        "cleanroom.toml: CLN803 cannot read `cleanroom.toml`: byte 0xff at offset 5 is not UTF-8"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[executor]\nworker_count = -1", "2:1: CLN802 `executor.worker_count` must be 0 or more, not -1"),
        (
            '[executor]\nworker_count = "4"',
            "2:1: CLN802 `executor.worker_count` must be a whole number, not '4'",
        ),
        (
            "[executor]\nworker_count = true",
            "2:1: CLN802 `executor.worker_count` must be a whole number, not True",
        ),
        (
            "[executor]\nworker_count = 1.5",
            "2:1: CLN802 `executor.worker_count` must be a whole number, not 1.5",
        ),
        ("[executor]\nfail_fast = 1", "2:1: CLN802 `executor.fail_fast` must be true or false, not 1"),
        (
            "executor.isolation = 'x'",
            "1:1: CLN802 `executor.isolation` must be one of fresh, warm, verified, not 'x'",
        ),
        ("[executor]\nlimits = 3", "2:1: CLN802 `executor.limits` must be a table, not 3"),
        ("executor = 3", "1:1: CLN802 `executor` must be a table, not 3"),
        ("[executor.groups]\ngpu = 0", "1:1: CLN802 `executor.groups.gpu` must be 1 or more, not 0"),
        ("[discovery]\nignore = 'x'", "2:1: CLN802 `discovery.ignore` must be an array, not 'x'"),
        ("[discovery]\nignore = [1]", "2:1: CLN802 `discovery.ignore` must be text, not 1"),
        ("[output]\ncolor = 1", "2:1: CLN802 `output.color` must be one of auto, always, never, not 1"),
        ("[lint]\ndisable = ['CLN000']", "2:1: CLN802 `lint.disable` is wrong: 'CLN000' is not a code"),
    ],
)
def test_a_bad_value_is_named_with_its_place_and_what_would_do(load: Load, text: str, complaint: str) -> None:
    write(load.project.root / "cleanroom.toml", text)

    assert load.refused() == [f"cleanroom.toml:{complaint}"]


def test_a_bad_duration_says_what_one_looks_like(load: Load) -> None:
    (finding,) = load.refused(environ={"CLNRM_NB_EXECUTOR_STEP_TIMEOUT": "soon"})

    assert finding.startswith("CLN802 `CLNRM_NB_EXECUTOR_STEP_TIMEOUT` is wrong: 'soon' is not a duration")


def test_all_bad_values_are_told_at_once(load: Load) -> None:
    write(load.project.root / "cleanroom.toml", "[watch]\nenabled = 1\n[cache]\nmax_entries = 0\n")

    assert len(load.refused(environ={"CLNRM_NB_EXECUTOR_RETRIES": "x"})) == 3


# ------------------------------------------------------------------------------------------ user-only keys


@pytest.mark.parametrize(
    "text",
    [
        '[executor]\nbackend = "process"\n',
        '[security]\nallow = ["privileged"]\n',
        '[executor.dask]\ninner = "process"\n',
    ],
)
@pytest.mark.parametrize("place", ["cleanroom.toml", ".clnrm/config.toml"])
def test_a_project_cannot_permit_itself_anything(load: Load, place: str, text: str) -> None:
    write(load.project.root / place, text)

    (finding,) = load.refused()

    assert f"{place}:2:1: CLN806" in finding


def test_neither_can_an_extra_file_or_the_environment(load: Load, tmp_path: Path) -> None:
    extra = write(tmp_path / "extra.toml", '[executor]\nbackend = "process"\n')

    assert "CLN806" in load.refused(config_file=extra)[0]
    assert "CLN806" in load.refused(environ={"CLNRM_NB_EXECUTOR_BACKEND": "process"})[0]
    assert "CLN806" in load.refused(environ={"CLNRM_NB_SECURITY_ALLOW": '["process"]'})[0]


def test_the_user_can_in_the_own_file_and_on_the_command_line(load: Load) -> None:
    overridden = load(overrides={"executor.backend": "process", "security.allow": ["mount:/data"]})
    write(load.user, '[executor]\nbackend = "process"\n[security]\nallow = ["capability:SYS_PTRACE"]\n')
    configured = load()

    assert overridden.executor.backend == configured.executor.backend == "process"
    assert overridden.security.allow == ("mount:/data",)
    assert configured.security.allow == ("capability:SYS_PTRACE",)


@pytest.mark.parametrize("word", ["everything", "mount:", "mount", "Privileged"])
def test_a_permission_that_does_not_exist_is_refused(load: Load, word: str) -> None:
    assert "CLN802" in load.refused(overrides={"security.allow": [word]})[0]


# ------------------------------------------------------------------------------------------------- format


def _format_md() -> Path | None:
    here = Path(__file__).resolve()
    return next((p / "shared/format.md" for p in here.parents if (p / "shared/format.md").exists()), None)


def test_every_key_of_the_format_is_known_with_its_default() -> None:
    path = _format_md()
    if path is None:
        pytest.skip("format.md is not beside this checkout; nothing to compare with")
    text = path.read_text(encoding="utf-8").split("## 10 Configuration")[1].split("\n## 11")[0]
    document = tomllib.loads(re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    del document["executor"]["groups"]  # An example, not a default.

    for section, table in document.items():
        for name, value in table.items():
            for inner, expected in value.items() if isinstance(value, dict) else [(None, value)]:
                key = f"{section}.{name}" + (f".{inner}" if inner else "")
                actual = Settings().value(key)
                assert (list(actual) if isinstance(actual, tuple) else actual) == expected, key
    for row in re.findall(r"^\| `([a-z]+)` \| (.*) \|$", text, re.MULTILINE):
        for key in re.findall(r"(?:^|, )`([a-z_]+)` \(", row[1]):
            assert any(known.startswith(f"{row[0]}.") and known.endswith(f".{key}") for known in KEYS), key


@pytest.mark.parametrize(
    ("left", "right", "edits"), [("", "", 0), ("ab", "ba", 1), ("abc", "", 3), ("service", "serivce", 1)]
)
def test_a_swap_of_neighbours_is_one_edit(left: str, right: str, edits: int) -> None:
    assert distance(left, right) == distance(right, left) == edits


def test_a_word_too_far_away_is_not_offered() -> None:
    assert nearest("zzz", ["service", "steps"]) is None
    assert nearest("servces", ["steps", "services"]) == "services"


# ----------------------------------------------------------------------------------------- shared cache

KEY = "a key of more than sixteen characters"


def test_the_key_of_the_shared_cache_comes_from_the_environment_or_the_persons_own_file(load: Load) -> None:
    assert load(environ={"CLNRM_NB_CACHE_SHARED_KEY": KEY}).cache.shared.key == KEY
    write(load.user, f'[cache.shared]\nkey = "{KEY}"\n')
    assert load().cache.shared.key == KEY


def test_a_key_in_a_file_of_the_project_is_refused_and_not_shown(load: Load, project: Project) -> None:
    for file in (project.root / "cleanroom.toml", project.state_dir / "config.toml"):
        write(file, f'[cache.shared]\nkey = "{KEY}"\n')
        (said,) = load.refused()
        assert "CLN806" in said
        assert "whoever reads the project could sign with it" in said
        assert KEY not in said
        file.unlink()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('url = "http://a:1/x"\ndir = "shared"', "give `url` or `dir`, not both"),
        ('url = "ftp://a/x"', "give http://HOST:PORT/PATH"),
        ('url = "http://"', "give http://HOST:PORT/PATH"),
        ('url = "http://me:pw@a/x"', "no name, password"),
        ('url = "http://a:99999999/x"', "is wrong"),
    ],
)
def test_a_shared_cache_is_one_address_or_one_directory(
    load: Load, project: Project, text: str, words: str
) -> None:
    write(project.state_dir / "config.toml", f"[cache.shared]\n{text}\n")
    (said,) = load.refused()
    assert "CLN802" in said
    assert words in said


@pytest.mark.parametrize("value", ["short", "12345", "true"])
def test_a_key_that_could_be_tried_out_is_refused_and_not_shown(load: Load, value: str) -> None:
    (said,) = load.refused(environ={"CLNRM_NB_CACHE_SHARED_KEY": value})
    assert "CLN802" in said
    assert value not in said.replace("SHARED", "")
    write(load.user, f"[cache.shared]\nkey = {value if value != 'short' else '[1]'}\n")
    assert all(value not in one for one in load.refused())


def test_the_key_is_in_no_representation_of_the_settings(load: Load) -> None:
    assert KEY not in repr(load(environ={"CLNRM_NB_CACHE_SHARED_KEY": KEY}))
