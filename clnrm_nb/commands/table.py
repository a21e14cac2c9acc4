"""Every command, flag and the configuration key it overrides: the one table (``format.md`` 11.1).

``cli`` builds its click tree from it, ``api`` turns keyword options into settings by it, and a test holds it
against the specification. It is plain data and imports nothing, so that ``clnrm --help`` costs nothing.

A flag *with* a key only overrides that key of the configuration; one *without* reaches the function of the
command as a keyword argument named like the flag (``-`` becomes ``_``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["COMMANDS", "SETS", "Argument", "Command", "Flag", "flags_of"]

Kind = Literal[
    "switch", "text", "int", "float", "percent", "duration", "file", "directory", "choice", "count"
]
Format = Literal["human", "json", "junit", "tap", "github"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Parameters
    ----------
    name : str
        Long name without dashes.
    help : str
        One sentence for ``--help`` and the reference.
    kind : str
        How its value is read; ``switch`` takes none.
    short : str, optional
        One letter.
    aliases : tuple of str
        Other long names.
    key : str, optional
        The configuration key it overrides.
    sets : object
        What a switch with a key sets it to.
    metavar : str, optional
        The value word shown in help.
    choices : tuple of str
        For ``choice``.
    multiple : bool
        May be given several times.
    parameter : str, optional
        Name of the keyword argument where it differs from the flag's.
    """

    name: str
    help: str
    kind: Kind = "switch"
    short: str | None = None
    aliases: tuple[str, ...] = ()
    key: str | None = None
    sets: Any = True
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    multiple: bool = False
    parameter: str | None = None

    @property
    def option(self) -> str:
        """Name of the keyword argument in Python."""
        return self.parameter or self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Argument:
    """Positional words of a command: ``default`` stands in where none is given.

    ``names`` says what they name, for whoever completes them: ``tests``, ``baselines``, or nothing that is
    known.
    """

    name: str
    metavar: str
    many: bool = False
    default: str | None = None
    required: bool = False
    names: Literal["tests", "baselines"] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``sets`` names the shared flags it takes besides G.

    One that does not need the configuration works beside a broken one, which it may be asked to explain.
    """

    name: str
    help: str
    argument: Argument | None = None
    flags: tuple[Flag, ...] = ()
    sets: str = ""
    formats: tuple[Format, ...] = ("human",)
    aliases: tuple[str, ...] = ()
    notebook_only: bool = False
    needs_configuration: bool = True

    @property
    def function(self) -> str:
        """Name of its function in :mod:`clnrm_nb.api`."""
        return self.name.replace("-", "_").replace(" ", "_")


_ALL: Final[tuple[Format, ...]] = ("human", "json", "junit", "tap", "github")
_HJ: Final[tuple[Format, ...]] = ("human", "json")
_PATHS: Final = Argument("paths", "PATH", many=True, default=".")
_OUTPUT: Final = Flag("output", "Write to FILE instead of stdout.", "file", short="o", metavar="FILE")

_WHO: Final = (
    Flag("by", "Who decides (default: git's identity).", "text", metavar="WHO"),
    Flag("message", "Why, for the log.", "text", short="m", metavar="TEXT"),
)
_DRY_RUN: Final = Flag("dry-run", "Only say what would happen.")

SETS: Final[dict[str, tuple[Flag, ...]]] = {
    "G": (
        Flag("verbose", "Say more; twice: everything.", "count", short="v", key="observability.log_level"),
        Flag(
            "config",
            "One more configuration file, above .clnrm/config.toml.",
            "file",
            short="c",
            metavar="FILE",
        ),
        Flag(
            "format",
            "Form of the report on stdout.",
            "choice",
            short="f",
            key="cli.output_format",
            choices=_ALL,
        ),
        Flag("color", "Colours.", "choice", key="output.color", choices=("auto", "always", "never")),
        Flag("no-emoji", "Signs in plain characters.", key="output.emoji", sets=False),
        Flag(
            "log-format",
            "Form of the log on stderr.",
            "choice",
            key="output.log_format",
            choices=("text", "json"),
        ),
        Flag("debug", "Full tracebacks.", key="output.debug"),
        Flag("ci", "No prompt, no write to baselines."),
        Flag("state-dir", "Keep state there instead of in .clnrm.", "directory", metavar="DIR"),
    ),
    "T": (
        Flag(
            "map",
            "Template variable K=V (a string) or K:=JSON (typed); wins over every other source.",
            "text",
            short="m",
            metavar="K=V",
            multiple=True,
        ),
        Flag(
            "vars",
            "Template variables from a TOML, JSON or K=V file.",
            "file",
            metavar="FILE",
            multiple=True,
            parameter="vars_file",
        ),
        Flag("no-template", "Take files as they are, without rendering."),
        Flag(
            "strict-toml",
            "1.0: report syntax that needs TOML 1.1.",
            "choice",
            key="template.strict_toml",
            choices=("1.0", "1.1"),
        ),
    ),
    "S": (
        Flag("tag", "Only tests with this tag.", "text", metavar="T", multiple=True),
        Flag(
            "only",
            "Only tests whose id, or that of a scenario of theirs, matches this glob.",
            "text",
            metavar="GLOB",
            multiple=True,
        ),
        Flag(
            "k",
            "Words with and, or, not, ( ); each a part of an id or a tag.",
            "text",
            short="k",
            metavar="EXPR",
            parameter="expression",
        ),
        Flag(
            "shard",
            "One part of the tests: slice:I/M (or I/M), hash:I/M, time:I/M.",
            "text",
            metavar="MODE:I/M",
        ),
    ),
    "R": (
        Flag("parallel", "Run tests side by side (the default).", key="cli.parallel"),
        Flag(
            "workers",
            "Tests running at once; 0: one for each CPU.",
            "int",
            short="j",
            aliases=("jobs",),
            key="executor.worker_count",
            metavar="N",
        ),
        Flag(
            "memory",
            "Memory limit of each container.",
            "int",
            key="executor.limits.container_memory_mb",
            metavar="MB",
        ),
        Flag(
            "cpu",
            "CPU limit of each container.",
            "float",
            key="executor.limits.container_cpu_limit",
            metavar="CORES",
        ),
        Flag("force", "Run although nothing changed; results are stored."),
        Flag("no-cache", "Neither look up nor store results.", key="cache.enabled", sets=False),
        Flag(
            "audit",
            "Share of reused results that is checked against a fresh run.",
            "percent",
            key="cache.audit_percent",
            metavar="PCT",
        ),
        Flag("fail-fast", "Start no further test after the first failure.", key="executor.fail_fast"),
        Flag(
            "max-fail", "Start no further test after N failures.", "int", key="executor.max_fail", metavar="N"
        ),
        Flag(
            "retries",
            "Run a failing test again up to N times; passing then is flaky.",
            "int",
            key="executor.retries",
            metavar="N",
        ),
        Flag(
            "flaky",
            "Whether a flaky test fails the run.",
            "choice",
            key="executor.flaky",
            choices=("fail", "pass"),
        ),
        Flag("repeat", "Run each test N times.", "int", metavar="N"),
        Flag("until-fail", "Run again and again until the first failure."),
        Flag("resume", "Go on with the last broken-off run: what has its verdict is not run again."),
        Flag("timeout", "Limit of a whole test.", "duration", key="executor.test_timeout", metavar="DUR"),
        Flag(
            "backend",
            "Where tests run: docker, process, replay, dask, auto.",
            "text",
            key="executor.backend",
            metavar="NAME",
        ),
        Flag(
            "docker-host",
            "Address of the container engine.",
            "text",
            key="executor.docker_host",
            metavar="URL",
        ),
        Flag(
            "replay",
            "Play a recording instead of running anything; implies --backend replay.",
            "file",
            key="executor.replay",
            metavar="FILE",
        ),
        Flag(
            "scheduler",
            "Run tests on the workers of this Dask scheduler; implies --backend dask.",
            "text",
            key="executor.dask.address",
            metavar="URL",
        ),
        Flag(
            "isolation",
            "How containers are isolated from each other's tests.",
            "choice",
            key="executor.isolation",
            choices=("fresh", "warm", "verified"),
        ),
        Flag(
            "allow",
            "Permit what project files may not ask for, such as privileged or mount:/data.",
            "text",
            key="security.allow",
            metavar="WHAT",
            multiple=True,
        ),
        Flag(
            "allow-not-evaluated",
            "Let a run with not-evaluated parts succeed.",
            key="executor.allow_not_evaluated",
        ),
        Flag("emit-events", "One JSON object a line on stderr while running.", "choice", choices=("jsonl",)),
        Flag("timings", "Where the time went, by phase.", key="output.timings"),
        Flag("report-junit", "Also write a JUnit report to FILE.", "file", metavar="FILE"),
        Flag("report-json", "Also write a JSON report to FILE.", "file", metavar="FILE"),
        Flag("report-html", "Also write an HTML report to FILE.", "file", metavar="FILE"),
    ),
    "C": (
        Flag("baseline", "Compare with the accepted traces.", key="baseline.compare"),
        Flag("update-baseline", "Accept what passed; the only way that writes under --ci."),
    ),
    "L": (
        Flag(
            "input-format",
            "Read trace files as this format, whatever they look like.",
            "choice",
            choices=(
                "otlp-json",
                "otlp-proto",
                "flat",
                "console",
                "jaeger",
                "zipkin",
                "tempo",
                "signoz",
                "csv",
            ),
        ),
    ),
    "N": (
        Flag(
            "p",
            "Notebook variable K=V or K:=JSON.",
            "text",
            short="p",
            metavar="K=V",
            multiple=True,
            parameter="parameters",
        ),
        Flag(
            "params",
            "A dict of the user namespace that holds variables.",
            "text",
            metavar="NAME",
            parameter="params_name",
        ),
        Flag("as", "Store the result under this name.", "text", metavar="VAR", parameter="as_name"),
        Flag("detach", "Return a live Run at once."),
        Flag("raise", "Raise if the run fails.", key="notebook.raise", sets="always"),
        Flag("no-raise", "Never raise for a run that fails.", key="notebook.raise", sets="never"),
        Flag("name", "Name of the cell's test (%%clnrm).", "text", metavar="NAME"),
        Flag("save", "Keep the cell's body as FILE (%%clnrm).", "file", metavar="FILE"),
    ),
}
"""Shared flags: G for every command, N for every command in a notebook."""

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "run",
        "Render, validate and run scenario files; judge their spans.",
        _PATHS,
        (
            Flag("watch", "Run again whenever something the tests depend on is saved.", key="cli.watch"),
            Flag("digest", "Print the trace digest of each scenario."),
        ),
        "TSRC",
        _ALL,
    ),
    Command(
        "watch",
        "Run tests, and on every save exactly those that it concerns.",
        _PATHS,
        (
            Flag(
                "debounce",
                "Longest wait from the first change to the run.",
                "int",
                aliases=("debounce-ms",),
                key="watch.debounce_ms",
                metavar="MS",
            ),
            Flag(
                "settle",
                "Quiet that is waited for before the run.",
                "int",
                key="watch.settle_ms",
                metavar="MS",
            ),
            Flag("clear", "Take the whole terminal while watching."),
            Flag("timebox", "Limit of a test whose file sets none.", "int", metavar="MS"),
            Flag("once", "Run once as watching would begin, and end."),
        ),
        "TSRC",
        _HJ,
        aliases=("dev",),
    ),
    Command(
        "validate",
        "Report everything that is wrong with scenario files, without running them.",
        _PATHS,
        (Flag("deny-warnings", "Let warnings fail (exit 1).", key="lint.deny_warnings"),),
        "TS",
        _ALL,
    ),
    Command(
        "dry-run",
        "As validate, and what a run would do: services, order, commands, what needs permission.",
        _PATHS,
        (Flag("deny-warnings", "Let warnings fail (exit 1).", key="lint.deny_warnings"),),
        "TS",
        _ALL,
    ),
    Command(
        "lint",
        "As validate, with findings of style, and repairs.",
        _PATHS,
        (
            Flag("deny-warnings", "Let warnings fail (exit 1).", key="lint.deny_warnings"),
            Flag("fix", "Repair what can be repaired without changing what the file means."),
            Flag("unsafe-fixes", "Also offer, and with --fix apply, repairs that may change what it means."),
            Flag("diff", "Only show what --fix would change (exit 1 if anything)."),
        ),
        "T",
        ("human", "json", "github"),
    ),
    Command(
        "fmt",
        "Bring scenario files into one layout; comments, templates and values stay.",
        _PATHS,
        (
            Flag("check", "Write nothing; exit 1 if a file would change."),
            Flag("diff", "Write nothing; show what would change."),
        ),
        "",
        _HJ,
    ),
    Command(
        "migrate",
        "Bring older spellings and forms into the current ones.",
        _PATHS,
        (
            Flag("check", "Write nothing; exit 1 if a file would change."),
            Flag("diff", "Write nothing; show what would change."),
        ),
        "",
        _HJ,
    ),
    Command(
        "explain",
        "What a code means, with a wrong and a right example.",
        Argument("code", "CODE", required=True),
        (),
        "",
        _HJ,
        needs_configuration=False,
    ),
    Command(
        "template",
        "Write a starter file; `clnrm template list` names them.",
        Argument("name", "NAME", required=True),
        (_OUTPUT,),
        needs_configuration=False,
    ),
    Command("template list", "The starter files there are.", None, (), "", _HJ, needs_configuration=False),
    Command(
        "scaffold",
        "A first scenario from a compose file or a recorded trace.",
        Argument("file", "FILE", required=True),
        (_OUTPUT,),
        "L",
    ),
    Command(
        "coverage",
        "How much of what a manifest lists is reached by traces.",
        Argument("manifest", "MANIFEST", required=True),
        (
            Flag(
                "traces",
                "Trace files (default: the stored traces of the last runs).",
                "file",
                metavar="FILE",
                multiple=True,
            ),
        ),
        "L",
        _HJ,
    ),
    Command(
        "render",
        "Show what a template renders to.",
        # Not required: in a notebook a cell's body can stand in for it.
        Argument("file", "FILE"),
        (
            _OUTPUT,
            Flag("show-vars", "Value and origin of each variable."),
            Flag("source-map", "The template line behind each rendered line."),
            Flag("matrix", "Choose a matrix combination.", "text", metavar="K=V", multiple=True),
        ),
        "T",
        _HJ,
        aliases=("template render",),
    ),
    Command(
        "diff",
        "Show what changed since the accepted traces, or between two trace files.",
        _PATHS,
        (
            Flag(
                "only-diffs",
                "Leave out what is the same.",
                aliases=("only-changes",),
                key="diff.show_only_diffs",
            ),
            Flag(
                "view",
                "Form of the report.",
                "choice",
                choices=("tree", "json", "side-by-side", "html", "markdown", "three-way"),
            ),
            Flag(
                "main",
                "What the main branch has: a stored run or a file (default: its last run, or its baseline).",
                "text",
                metavar="RUN|FILE",
            ),
            Flag("depth", "Show N levels of the tree.", "int", key="diff.max_display_depth", metavar="N"),
            Flag("with-timestamps", "Compare durations too.", key="diff.ignore_timestamps", sets=False),
            Flag(
                "run",
                "Run the tests first, or take their last runs.",
                "choice",
                choices=("auto", "always", "never"),
                parameter="run_when",
            ),
            _OUTPUT,
        ),
        "TSRCL",
        _ALL,
    ),
    Command(
        "cache stats",
        "How many results are stored, how often they were used, and what an audit of them found.",
        None,
        (),
        "",
        _HJ,
    ),
    Command("cache list", "The stored results, those used last first.", _PATHS, (), "", _HJ),
    Command("cache clear", "Forget stored results, so that their tests run again.", _PATHS, (), "", _HJ),
    Command(
        "cache verify",
        "Check every stored object against its digest; exit status 1 if any is damaged.",
        None,
        (),
        "",
        _HJ,
    ),
    Command(
        "cache why",
        "Why a test was run, or was not, the last time, and what would be done now.",
        Argument("id", "ID", required=True, names="tests"),
        (),
        "T",
        _HJ,
        aliases=("why",),
    ),
    Command("baseline list", "List the accepted traces and what waits for a decision.", None, (), "", _HJ),
    Command(
        "baseline show",
        "Show an accepted trace.",
        Argument("id", "ID", required=True, names="baselines"),
        (Flag("version", "An older version.", "int", metavar="N"),),
        "",
        _HJ,
    ),
    Command(
        "baseline accept",
        "Make the latest trace of a scenario its baseline, or only some of its edits.",
        Argument("ids", "ID", many=True, names="baselines"),
        (
            Flag(
                "edit",
                "Only this edit, by its id in `clnrm diff`, and what it requires.",
                "text",
                metavar="E",
                multiple=True,
            ),
            Flag(
                "cause",
                "Only the edits of this cause, by its id: one decision, however many places.",
                "text",
                metavar="C",
                multiple=True,
            ),
            Flag("all", "Every latest trace without a baseline or unlike it.", parameter="accept_all"),
            Flag("force", "Also traces of tests that did not pass."),
            *_WHO,
            _DRY_RUN,
        ),
        "",
        _HJ,
    ),
    Command(
        "baseline reject",
        "Refuse the latest trace of a scenario; an equal one fails from now on.",
        Argument("id", "ID", required=True, names="baselines"),
        _WHO,
        "",
        _HJ,
    ),
    Command(
        "baseline history",
        "List all decisions about a scenario.",
        Argument("id", "ID", required=True, names="baselines"),
        (),
        "",
        _HJ,
    ),
    Command(
        "baseline blame",
        "Say which decision made which line of a baseline, who, when and why.",
        Argument("id", "ID", required=True, names="baselines"),
        (),
        "",
        _HJ,
    ),
    Command(
        "baseline restore",
        "Bring an older version back, or repair a damaged file.",
        Argument("id", "ID", required=True, names="baselines"),
        (Flag("version", "The version to bring back.", "int", metavar="N"), *_WHO, _DRY_RUN),
        "",
        _HJ,
    ),
    Command(
        "baseline learn",
        "Run a test several times and propose rules for what varies; a person agrees to each.",
        Argument("id", "ID", required=True, names="tests"),
        (
            Flag(
                "runs", "Runs to learn from, two or more (default: 5); 0: those stored.", "int", metavar="N"
            ),
            _WHO[0],
            Flag("dry-run", "Only print the rules, with exit status 0."),
        ),
        "R",
        _HJ,
    ),
    Command(
        "baseline undo",
        "Take back the last decision about a scenario.",
        Argument("id", "ID", required=True, names="baselines"),
        _WHO,
        "",
        _HJ,
    ),
    Command(
        "baseline verify",
        "Check that baseline files and decisions are as they were written.",
        Argument("ids", "ID", many=True, names="baselines"),
        (),
        "",
        _HJ,
    ),
    Command(
        "baseline gc",
        "Remove stored objects that nothing needs and, once asked, baselines without a scenario.",
        None,
        (
            Flag("unused", "Also baseline files that no scenario owns; asks first."),
            Flag("dry-run", "Only say what would be removed."),
        ),
        "",
        _HJ,
    ),
    Command(
        "analyze",
        "Judge stored or given spans by a scenario file's expectations, without running it.",
        Argument("file", "FILE", required=True),
        (
            Flag(
                "traces",
                "Trace files to judge (default: the spans of the last run).",
                "file",
                metavar="FILE",
                multiple=True,
            ),
        ),
        "TL",
        _ALL,
    ),
    Command(
        "spans",
        "List the spans of a trace file or of a test's last run.",
        Argument("source", "FILE or ID", required=True),
        (
            Flag("grep", "Only spans whose name, service or attributes match.", "text", metavar="REGEX"),
            Flag("show-attrs", "Attributes too."),
            Flag("show-events", "Events too."),
        ),
        "L",
        _HJ,
    ),
    Command(
        "graph",
        "Draw the tree of a trace file or of a test's last run.",
        Argument("source", "FILE or ID", required=True),
        (
            Flag("view", "Form of the drawing.", "choice", choices=("ascii", "dot", "json", "mermaid")),
            Flag(
                "highlight-missing",
                "Also show the edges this scenario file demands and the trace lacks.",
                "file",
                metavar="FILE",
            ),
            Flag(
                "filter",
                "Only trees that hold a span of this name.",
                "text",
                metavar="GLOB",
                parameter="name_filter",
            ),
        ),
        "L",
        _HJ,
    ),
    Command(
        "report",
        "Write a report of the last run, or of a JSON report.",
        None,
        (
            Flag(
                "input",
                "A JSON report to start from (default: the last run).",
                "file",
                short="i",
                metavar="FILE",
            ),
            _OUTPUT,
            Flag(
                "type",
                "Form of the report.",
                "choice",
                choices=("html", "markdown", "json"),
                parameter="report_type",
            ),
        ),
    ),
    Command(
        "history",
        "What earlier runs said about tests.",
        Argument("ids", "ID", many=True, names="tests"),
        (Flag("limit", "At most N rows.", "int", metavar="N"),),
        "",
        _HJ,
    ),
    Command(
        "stats",
        "How often tests passed, how long they took, and which are proven to be flaky.",
        _PATHS,
        (Flag("limit", "The last N runs of each test.", "int", metavar="N"),),
        "",
        _HJ,
    ),
    Command(
        "record",
        "Run tests and keep what they did, to be replayed and reproduced.",
        _PATHS,
        (
            Flag(
                "output",
                "Where the recording goes (default: recording.json in the state directory).",
                "file",
                short="o",
                metavar="FILE",
            ),
        ),
        "TSR",
        ("human", "json", "junit"),
    ),
    Command(
        "repro",
        "Run again what `record` kept; exit status 1 if it does not come to the same.",
        Argument("file", "FILE", required=True),
        (
            Flag("verify-digest", "First check the digest beside FILE and the recording it names."),
            Flag("output", "Also write the result to FILE, as JSON.", "file", short="o", metavar="FILE"),
        ),
        "R",
        ("human", "json", "junit"),
    ),
    Command(
        "redgreen",
        "Say whether all tests pass (green), none does (red), or only some (mixed, exit status 1).",
        _PATHS,
        (
            Flag(
                "expect",
                "The state that is exit status 0; every other is 1.",
                "choice",
                choices=("red", "green"),
            ),
        ),
        "TSR",
        _HJ,
        aliases=("red-green",),
    ),
    Command(
        "pull",
        "Pull the images that tests need, each once.",
        _PATHS,
        (
            Flag(
                "workers",
                "Images pulled at once; 0: one for each CPU.",
                "int",
                short="j",
                aliases=("jobs",),
                key="executor.worker_count",
                metavar="N",
            ),
        ),
        "T",
        _HJ,
    ),
    Command(
        "plugins",
        "What can be named in files and flags, where it comes from, and whether it works here.",
        None,
        (),
        "",
        _HJ,
    ),
    Command(
        "init",
        "Lay down working examples, a .gitignore for the state and, if asked, a configuration file.",
        Argument("directory", "DIR", default="."),
        (
            Flag(
                "config",
                "Also write .clnrm/config.toml with every key and its default.",
                parameter="with_config",
            ),
            Flag("force", "Overwrite files that are there."),
        ),
        "",
        _HJ,
    ),
    Command(
        "notebooks",
        "Execute notebooks with papermill and judge them by what their commands said.",
        _PATHS,
        (
            Flag("jobs", "Notebooks at once; 0: one for each CPU.", "int", metavar="N"),
            Flag(
                "junit", "Write a JUnit report: a suite a notebook, a case a check.", "file", metavar="FILE"
            ),
            Flag("html", "Write the executed notebooks as HTML.", "directory", metavar="DIR"),
            Flag(
                "artifacts",
                "Keep the executed notebooks there instead of in the state directory.",
                "directory",
                metavar="DIR",
            ),
            Flag(
                "p",
                "Notebook parameter K=V (a string) or K:=JSON (typed).",
                "text",
                short="p",
                metavar="K=V",
                multiple=True,
                parameter="parameters",
            ),
            Flag("timeout", "Limit of one notebook.", "duration", metavar="DUR"),
        ),
        "",
        _HJ,
    ),
    Command(
        "doctor",
        "Check what this machine has: engine, receiver, packages, state.",
        None,
        (),
        "",
        _HJ,
        aliases=("health",),
    ),
    Command(
        "gc",
        "Remove what dead runs left behind, in the engine and on this machine.",
        None,
        (Flag("dry-run", "Only say what would be removed."),),
        "",
        _HJ,
    ),
    Command(
        "self-test",
        "Prove the installation: run built-in scenarios whose verdicts are known.",
        None,
        (Flag("suite", "Only this suite.", "text", metavar="NAME"),),
        "",
        _HJ,
    ),
    Command(
        "guard",
        "End the notebook here with status skipped, unless VAR is true and the backend answers.",
        Argument("variable", "VAR"),
        (
            Flag(
                "backend",
                "The backend that must answer (default: the configured one).",
                "text",
                key="executor.backend",
                metavar="NAME",
            ),
            Flag("reason", "Sentence to show where the notebook ends.", "text", metavar="TEXT"),
        ),
        notebook_only=True,
    ),
    Command(
        "review",
        "Decide differences from the accepted traces, one after another.",
        Argument("ids", "ID", many=True, names="baselines"),
        (
            Flag("list", "Only list what waits; exit status 1 if anything does."),
            *_WHO,
        ),
        "",
        _HJ,
    ),
    Command(
        "panel",
        "Choose a test, fill in its variables, and render, validate or run it by button.",
        Argument("paths", "PATH", default="."),
        (),
        "TR",
        notebook_only=True,
    ),
)


def flags_of(command: Command, *, notebook: bool = False) -> tuple[Flag, ...]:
    """All flags of a command: its own, its sets', G; in a notebook N too. An own flag of a name wins."""
    flags = {flag.name: flag for flag in command.flags}
    for letter in command.sets + "G" + ("N" if notebook else ""):
        for flag in SETS[letter]:
            flags.setdefault(flag.name, flag)
    return tuple(flags.values())
