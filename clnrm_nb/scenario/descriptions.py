"""One sentence for every key of a scenario file: what editors show, and the schema says.

Prose beside the declarations of :mod:`~clnrm_nb.scenario.tables`, apart from them so that reading a file
never loads it. A test holds the two against each other: every key has a sentence, and none is left over.
"""

from __future__ import annotations

from typing import Final

__all__ = ["describe"]

_METADATA: Final = {
    "name": "What the test is called in reports; not blank.",
    "version": "Version of the scenario file, as text such as `1.0.0`.",
    "description": "What the test is for, in a sentence.",
    "author": "Who looks after the test.",
    "tags": "Words to select the test by, with `--tag`.",
    "timeout": "Limit of the whole test.",
    "timeout_seconds": "Limit of the whole test, in seconds.",
    "hermetic": "True: the test is refused on a backend that does not isolate it.",
    "priority": "Higher starts earlier.",
    "groups": "The test waits until each of these groups has a place free (`[executor.groups]`).",
    "isolation": "How fresh the containers must be: created for the test, created ahead, or proved clean.",
}
_WORKS_ON: Final = {
    "service": "The service whose container the command runs in.",
    "env": "Environment variables, added to the service's.",
    "timeout_ms": "The command is ended after so many milliseconds.",
}

_DESCRIPTIONS: Final[dict[str, dict[str, str]]] = {
    "": {
        "meta": "What the test is: name, version, tags, limits.",
        "test": "The older place of the metadata, as `test.metadata`.",
        "services": "The containers of the test by name, which is their host name too.",
        "service": "The same as `services`; both are merged.",
        "steps": "Commands that run one after another, before the scenarios.",
        "scenario": "The scenarios, run in this order; each is judged by its own spans too.",
        "vars": "Variables of the template.",
        "matrix": "Lists of values; the file is one test for each combination.",
        "template": "Further variables of the template.",
        "determinism": "Seed and clock that make generated values the same in every run.",
        "otel": "How the programs under test send their spans.",
        "expect": "What must hold of the spans of the whole test.",
        "assertions": "Older form of some expectations.",
        "otel_validation": "Older form of expectations; read as `expect`.",
        "otel_expectations": "Older form of expectations; read as `expect`.",
        "limits": "Limits of each container and of the test.",
        "secrets": "Variables whose values come from the runner's environment and are never shown.",
        "tolerance": "Differences from the accepted trace that are of no interest.",
        "report": "Reports to write, as paths from the project root.",
        "cleanup": "What is taken away after the test, and whether that is checked.",
    },
    "meta": _METADATA,
    "test.metadata": _METADATA,
    "test": {
        "metadata": "What the test is: name, version, tags, limits.",
        "assertions": "Older form of some expectations.",
    },
    "services.NAME": {
        "plugin": "What kind of service it is; presets bring an image and a readiness check.",
        "image": "The image of the container, with its tag.",
        "args": "The command of the container, instead of the image's.",
        "entrypoint": "The entry point of the container, instead of the image's.",
        "env": "Environment variables of the container.",
        "ports": 'Ports to publish on this machine: `8080`, `"0:8080"` (a free one), `"127.0.0.1:80:8080"`.',
        "volumes": 'Directories of the project in the container: a table, or `"host:container[:ro]"`.',
        "workdir": "Working directory of the container.",
        "depends_on": "Services that must be ready before this one starts.",
        "health_check": "A command that succeeds once the service is ready; text goes to a shell.",
        "wait_for_span": "Ready once a span of this name came from the service.",
        "wait_for_span_timeout_secs": "How long to wait for that span, in seconds.",
        "wait_log_message": "Ready once a line of its log matches this regular expression.",
        "wait_strategy": "Only this kind of readiness check counts.",
        "wait_for_ready": "False: started is enough.",
        "timeout": "How long the service may take to become ready.",
        "limits": "Memory and CPU of the container.",
        "capabilities": "Linux capabilities to keep or add; unusual ones need permission.",
        "privileged": "Full access to the machine; needs permission (`--allow privileged`).",
        "devices": "Devices of the machine; each needs permission (`--allow device:PATH`).",
        "network": "What the container may reach beyond the test's network.",
        "username": "User of the surrealdb preset.",
        "password": "Password of the surrealdb preset.",
        "strict": "Strict mode of the surrealdb preset.",
        "endpoint": "Address of a network_service: `host:port` or a URL.",
    },
    "services.NAME.limits": {
        "memory_mb": "Memory of the container, in mebibytes.",
        "cpu_millicores": "CPU of the container, in thousandths of a core.",
    },
    "resources": {
        "memory_limit": "Memory of the container, such as `256m`.",
        "cpu_limit": "CPU of the container, such as `0.5`.",
    },
    "health_check": {
        "cmd": "The command; text goes to a shell.",
        "interval": "Longest pause between two attempts.",
        "timeout": "Limit of one attempt.",
        "retries": "Failures in a row that are borne.",
        "start_period": "Time before the first attempt.",
    },
    "services.NAME.volumes": {
        "host_path": "Directory or file on this machine, from the scenario file's directory.",
        "container_path": "Absolute path in the container.",
        "read_only": "True: the container cannot write there.",
    },
    "network": {
        "mode": "internal: nothing beyond the test; the others make the test non-hermetic.",
        "external_access": "True: the container reaches the world outside, and the test is not hermetic.",
        "allowed_hosts": "Hosts that spans may name as peers.",
    },
    "retry": {
        "max_attempts": "How often to try in all.",
        "delay": "Pause between two attempts.",
    },
    "steps": {
        **_WORKS_ON,
        "name": "What the step is called in reports.",
        "workdir": "Working directory of the command.",
        "command": "The command: an array as it is; text is split, or goes to a shell if it must.",
        "expected_exit_code": "The exit status that counts as success.",
        "should_fail": "True: any exit status but 0 is demanded.",
        "expected_output_regex": "What standard output must match.",
        "expected_output_regex_not": "What standard output must not match.",
        "expected_output_contains": "Text that standard output must contain.",
        "timeout": "The command is ended after this time.",
        "retry_on_failure": "True: a failed command is tried again.",
        "max_retries": "How often to try again.",
        "retry": "How often and at what pace to try.",
        "continue_on_failure": "True: later steps run although this one failed.",
    },
    "scenario.run": {
        **_WORKS_ON,
        "name": "What the command is called in reports.",
        "command": "The command.",
    },
    "policy": {
        "security_level": "How strict the runner is.",
        "max_execution_time": "Limit of the scenario, in seconds.",
        "max_memory_mb": "Limit of memory, in mebibytes.",
        "max_cpu_usage": "Limit of CPU, as a share from 0 to 1.",
        "allowed_network_hosts": "Hosts that spans may name as peers.",
        "disallowed_commands": "Programs that must not be started, by exact name.",
    },
    "artifacts": {
        "collect": "What to keep: `spans:NAME`, `logs:stdout`, `logs:stderr`, `logs:all`, `files:GLOB`.",
    },
    "scenario": {
        "name": "What the scenario is called; unique in its file, part of its id.",
        "service": "The service whose container its commands run in.",
        "run": "The command of the scenario, or several as an array of tables.",
        "steps": "Further commands, after `run`.",
        "concurrent": "True: its commands run at once, and neighbours that say so too may overlap with it.",
        "priority": "Higher starts earlier.",
        "groups": "Groups whose places the test needs, with those of the test.",
        "parallel_services": "Services that must be up; the commands run at once.",
        "timeout_ms": "Hard limit of the scenario, in milliseconds.",
        "timeout_strategy": "graceful: TERM, then KILL after the grace period; immediate: KILL.",
        "grace_period_ms": "Milliseconds between TERM and KILL.",
        "expect_failure": "True: the commands must fail.",
        "expect_success": "True: the commands must succeed.",
        "expect_partial_failure": "True: at least one command must fail and one succeed.",
        "policy": "Limits the scenario must keep.",
        "artifacts": "What to keep of the scenario.",
        "expect": "What must hold of the spans of this scenario.",
    },
    "otel": {
        "exporter": "How spans leave the programs: otlp (to the runner), stdout (as JSON), none.",
        "endpoint": "Where spans are sent on to, with `forward`.",
        "forward": "True: spans are sent on to `endpoint` too.",
        "protocol": "Encoding of OTLP.",
        "sample_ratio": "Share of traces that are recorded, 0 to 1.",
        "resources": "Resource attributes given to the programs.",
        "headers": "Headers given to the exporters.",
        "propagators": "How trace context travels between programs.",
    },
    "otel.propagators": {"use": "The propagators, in order."},
    "determinism": {
        "seed": "Seed of all generated values; programs get it as `CLNRM_SEED`.",
        "freeze_clock": "The time that templates see; programs get it as `CLNRM_FREEZE_CLOCK`.",
    },
    "template": {
        "vars": "Variables of the template, below `[vars]`.",
        "otel": "Variables under `otel.`.",
        "matrix": "Lists under `matrix.`; they make no combinations.",
    },
    "limits": {
        "cpu_millicores": "CPU of each container, in thousandths of a core.",
        "memory_mb": "Memory of each container, in mebibytes.",
        "max_containers": "Most containers of the test at once.",
        "max_duration_seconds": "Limit of the whole test, in seconds.",
    },
    "secrets": {
        "env": "Names of variables; their values are read when the test starts.",
        "services": "Services that get them (default: all).",
    },
    "report.digest": {
        "path": "The file, from the project root.",
        "algorithm": "Only sha256.",
    },
    "report": {
        "json": "A JSON report.",
        "junit": "A JUnit report.",
        "html": "An HTML report.",
        "markdown": "A Markdown report.",
        "digest": "A file with the digest of the trace.",
    },
    "cleanup": {
        "containers": "When containers are removed.",
        "networks": "When networks are removed.",
        "volumes": "When volumes are removed.",
        "verify_cleanup": "True: the test fails if anything is left behind.",
        "parallel_cleanup": "False: objects are removed one after another.",
        "cleanup_timeout_ms": "Limit of the clean-up, in milliseconds.",
        "kill_timeout_ms": "Milliseconds between TERM and KILL.",
        "on_failure": "A note on what to do after a failure.",
    },
    "expect": {
        "span": "A span that must be there (or must not), with these properties.",
        "counts": "How many spans, events and errors there are.",
        "graph": "Which spans are parents of which.",
        "window": "Spans inside the time of another, and how long that took.",
        "order": "Spans that end before others start.",
        "temporal": "One pair of spans in order.",
        "status": "The status of spans.",
        "hermeticity": "That nothing outside was reached, and nothing left behind.",
        "resource": "Containers, networks and volumes of the test.",
        "framework_spans": "False: the runner's own spans cannot be named.",
    },
    "expect.span": {
        "name": "Name of the span: exact, a glob (`*`, `?`, `[abc]`), `{ exact }` or `{ regex }`.",
        "parent": "Name of its parent.",
        "kind": "Its kind.",
        "status": "Its status.",
        "attrs": "Attributes it has: `all` of them, or `any`.",
        "events": "Names of events it has: `all` of them, or `any`.",
        "duration_ms": "How long it took, in milliseconds.",
        "count": "How many such spans there are.",
        "exists": "False: there is no such span.",
        "match": "any: one span has all of this; all: every span of the name has.",
    },
    "expect.counts": {
        "spans_total": "Number of spans.",
        "events_total": "Number of events.",
        "errors_total": "Number of spans with an error.",
        "by_name": "Number of spans by name (globs).",
        "by_kind": "Number of spans by kind.",
        "by_service": "Number of spans by service.",
    },
    "expect.graph": {
        "must_include": "Edges `[parent, child]` that must be there.",
        "descendant": "True: at any depth, not only direct children.",
        "must_not_cross": "Pairs of spans that nothing may join.",
        "mode": "path: no path joins them; edge: no direct edge does.",
        "allow_missing": "True: passes where one of the names matches no span.",
        "acyclic": "True: following parents never comes back.",
        "max_depth": "Most spans from a root to a leaf.",
        "must_be_connected": "True: every trace has one root and no orphan.",
    },
    "expect.window": {
        "outer": "The span inside whose time the others must lie.",
        "contains": "The spans that must lie inside.",
        "start_span": "The window begins with this span.",
        "end_span": "The window ends with this span.",
        "min_duration_ms": "Least length of the window, in milliseconds.",
        "max_duration_ms": "Greatest length of the window, in milliseconds.",
        "min_span_count": "Fewest spans inside.",
        "max_span_count": "Most spans inside.",
    },
    "expect.order": {
        "must_precede": "Pairs `[a, b]`: before every b, some a ended.",
        "must_follow": "Pairs `[b, a]`: the same, the other way round.",
        "match": "all: for every b; any: for one pair.",
    },
    "expect.temporal": {
        "before": "The span that ends first.",
        "after": "The span that starts then.",
    },
    "expect.status": {
        "all": "The status of every span.",
        "by_name": "The status of spans by name (globs).",
        "none": "A status that no span has.",
        "all_ok": "True: every span is OK.",
        "errors_allowed": "False: no span is ERROR.",
        "error_count": "Number of spans with an error.",
        "failed_spans": "Exactly these names have spans with an error.",
        "cleanup_must_succeed": "True: nothing was left behind.",
    },
    "expect.hermeticity": {
        "no_external_services": "True: no span names a host outside the test.",
        "network_isolation": "True: no span names a host outside the test.",
        "allow_network": "False: no span names a host outside the test.",
        "allow_hosts": "Hosts that count as inside (globs).",
        "resource_attrs": "Attributes every resource has, as `must_match`.",
        "sdk_resource_attrs": "Attributes every resource has, as `must_match`.",
        "span_attrs": "Attributes no span has, as `forbid_keys`.",
        "no_container_leakage": "True: no container was left behind.",
        "no_network_leakage": "True: no network was left behind.",
        "no_volume_leakage": "True: no volume was left behind.",
        "no_process_leakage": "True: no process was left behind.",
        "allowed_images": "Images the test may use (globs).",
    },
    "expect.resource": {
        "type": "What kind of object.",
        "name": "Its name (glob).",
        "exists": "False: there is none.",
    },
    "otel_validation.expected_spans": {
        "name": "Name of the span.",
        "attributes": "Attributes it has.",
        "required": "False: judged only if it is there.",
        "min_duration_ms": "Least duration, in milliseconds.",
        "max_duration_ms": "Greatest duration, in milliseconds.",
        "count": "How many such spans there are.",
        "parent": "Name of its parent.",
        "is_root": "True: it has no parent.",
        "min_count": "Fewest such spans.",
        "required_attributes": "Attributes that must be there, whatever their value.",
    },
    "otel_validation.expected_traces": {
        "span_names": "Spans the trace has.",
        "parent_child": "Edges `[parent, child]` it has.",
        "complete": "True: it has no other spans.",
        "is_tree": "True: one root, no cycle, no orphan.",
        "ordered": "True: they start in this order.",
        "trace_id": "Only the trace of this id.",
        "trace_count": "Number of such traces.",
    },
    "otel_validation": {
        "enabled": "False: none of this is evaluated.",
        "expected_spans": "Spans that must be there.",
        "expected_traces": "Traces that must be there.",
        "expect_graph": "Older place of `expect.graph`.",
        "expect_counts": "Older place of `expect.counts`.",
        "expect_windows": "Older place of `expect.window`.",
        "expect_hermeticity": "Older place of `expect.hermeticity`.",
        "expect_order": "Older place of `expect.order`.",
        "expect_status": "Older place of `expect.status`.",
    },
    "otel_expectations": {
        "minimum_spans": "Fewest spans.",
        "expected_minimum_spans": "Fewest spans.",
        "required_events": "Names of events that some span has.",
        "should_have_parent_child_edges": "True: at least one span is the child of another.",
        "expected_status": "The status of every span.",
    },
    "tolerance": {
        "id": "Name of the rule, unique.",
        "reason": "Why the difference does not matter.",
        "select": "What the rule is about (globs).",
        "present": "With `ignore`: the key must still be there.",
        "by": "Who made the rule.",
        "at": "When the rule was made.",
        "expires": "When the rule ends.",
        "ignore": "True: any value of the key.",
        "template": "Differences inside what this regular expression matches.",
        "redact": "The same, and what it matches is shown nowhere.",
        "one_of": "Any of these values.",
        "range": "Any value between these two.",
        "tolerance": "Values that differ by no more than this.",
        "count": 'So many such siblings, such as `"1..3"`.',
        "optional": "True: the subtree may be absent.",
        "alias": "The new name of a renamed service, scope, span or key.",
        "any_parent": "True: such spans may have another parent.",
        "order": "True: the order of such siblings is compared too.",
        "duration": "Durations are compared too, within this.",
    },
    "tolerance.select": {
        "scenario": "Name of the scenario.",
        "service": "Name of the service.",
        "scope": "Name of the instrumentation scope.",
        "kind": "Kind of the span.",
        "span": "Name of the span.",
        "path": "Names from the root to the span, joined by `/`.",
        "key": "Key of the attribute, name of the event, `status.code`, `status.message` or `span.kind`.",
    },
    "tolerance.tolerance": {"abs": "By this much.", "rel": "By this share of the value."},
    "tolerance.duration": {"ratio": "Greatest ratio.", "floor_ms": "Milliseconds that never matter."},
    "bound": {
        "eq": "Exactly this.",
        "gt": "More than this.",
        "gte": "This or more.",
        "lt": "Less than this.",
        "lte": "This or less.",
    },
    "operators": {
        "eq": "Equal to this.",
        "ne": "Not equal to this.",
        "gt": "More than this.",
        "gte": "This or more.",
        "lt": "Less than this.",
        "lte": "This or less.",
        "in": "One of these.",
        "glob": "Matches this glob.",
        "regex": "Matches this regular expression.",
        "exists": "Whether the attribute is there.",
    },
    "span_attrs": {"forbid_keys": "Attributes no span has (globs)."},
}  # fmt: skip
_NOTES: Final = {
    "description": "A note for readers.",
    "reason": "A note on why this is expected.",
    "name": "A name for this block.",
}
"""Keys that most tables take."""


def describe(table: str, key: str) -> str | None:
    """What a key is for.

    Parameters
    ----------
    table : str
        The name of its table in the schema, such as ``steps`` or ``expect.span``; empty for the file itself.
    key : str
        Its canonical name.

    Returns
    -------
    str or None
        One sentence; ``None`` for a table or key nobody knows.

    Examples
    --------
    >>> describe("steps", "command")[:12]
    'The command:'
    """
    return _DESCRIPTIONS.get(table, {}).get(key) or _NOTES.get(key)
