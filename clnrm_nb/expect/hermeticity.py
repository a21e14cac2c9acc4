"""``[expect.hermeticity]`` (``format.md`` 7.8): isolation, resources, forbidden keys, leaks, images.

Claims of isolation are judged by what can be known: a violation that is seen always fails; where none is
seen, only a backend that proves isolation by construction lets the claim pass (``format.md`` 5.2).
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import partial
from typing import TYPE_CHECKING, Final

from clnrm_nb.expect.claim import NOT_HERMETIC, Claim, Finding, failed, not_evaluated, passed, plural
from clnrm_nb.expect.hosts import Inside
from clnrm_nb.expect.values import attribute_test, describe_attribute, shown
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import AttributeCheck, HermeticityExpectation

__all__ = ["claims", "outside_hosts"]

_LEAKS: Final = ("container", "network", "volume", "process")

_HOSTS_SHOWN: Final = 5

# Backends that make containers, and so know what became of them whatever the network was.
_CONTAINER_BACKENDS: Final = frozenset({"docker"})


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a key."""
    for block in scope.expect.hermeticity:
        yield from _span_claims(block, scope)
        yield from _leak_claims(block, scope.outcome)
        if block.allowed_images is not None:
            look = partial(_images, block.allowed_images, scope.outcome)
            yield _claim(block, "allowed_images", list(block.allowed_images), look, about_spans=False)


def _claim(
    block: HermeticityExpectation, key: str, expected: object, look: partial[Finding], *, about_spans: bool
) -> Claim:
    source = (*block.source, *key.split("."))
    return Claim(f"hermeticity.{key}", "hermeticity", source, expected, look, about_spans)


def _span_claims(block: HermeticityExpectation, scope: Scope) -> Iterator[Claim]:
    if block.no_external_services:
        look = partial(_no_external_services, block, scope)
        yield _claim(block, "no_external_services", "no span names an outside host", look, about_spans=True)
    for key, checks in (
        ("resource_attrs", block.resource_attrs),
        ("sdk_resource_attrs", block.sdk_resource_attrs),
    ):
        if checks:
            expected = ", ".join(map(describe_attribute, checks))
            look = partial(_resources, checks, scope.index)
            yield _claim(block, f"{key}.must_match", expected, look, about_spans=True)
    if block.forbid_keys:
        look = partial(_forbidden, block.forbid_keys, scope.index)
        yield _claim(block, "span_attrs.forbid_keys", list(block.forbid_keys), look, about_spans=True)


def _leak_claims(block: HermeticityExpectation, outcome: TestOutcome) -> Iterator[Claim]:
    for kind in _LEAKS:
        if getattr(block, f"no_{kind}_leakage"):
            look = partial(_no_leak, kind, outcome)
            yield _claim(block, f"no_{kind}_leakage", [], look, about_spans=False)


# ---------------------------------------------------------------------------------------------- hosts


def outside_hosts(scope: Scope, allow_hosts: Sequence[str] = ()) -> dict[str, list[int]]:
    """Hosts that do not belong to the test, as ``attribute = host``, each with the spans naming it."""
    allowed = [
        *allow_hosts,
        *(host for s in scope.test.services.values() for host in s.network.allowed_hosts),
    ]
    inside = Inside(scope.test.services, allowed, scope.outcome.addresses)
    attributes = scope.index.table.attributes
    found: dict[str, list[int]] = {}
    for row in scope.index.program:
        if named := inside.outside(attributes[row]):
            found.setdefault(f"{named[0]} = {named[1]}", []).append(row)
    return found


def _no_external_services(block: HermeticityExpectation, scope: Scope) -> Finding:
    outside = outside_hosts(scope, block.allow_hosts)
    if outside:
        rows = sorted(row for named in outside.values() for row in named)
        hosts = sorted(outside)
        listed = "; ".join(
            f"{host} in {scope.index.names_text(outside[host])}" for host in hosts[:_HOSTS_SHOWN]
        )
        more = f"; {len(hosts) - _HOSTS_SHOWN} more" if len(hosts) > _HOSTS_SHOWN else ""
        return failed(f"spans name outside hosts: {listed}{more}", hosts, rows, is_settled=True)
    if not scope.outcome.hermetic or scope.outcome.replayed:
        return not_evaluated("no span names an outside host, which alone proves nothing here", NOT_HERMETIC)
    return passed("no span names an outside host", [])


# ----------------------------------------------------------------------------------- resources and keys


def _resources(checks: Sequence[AttributeCheck], index: SpanIndex) -> Finding:
    first_rows = _distinct_resources(index)
    for check in checks:
        test = attribute_test(check)
        for row in first_rows:
            attributes = index.table.resource[row].attributes
            if not test(attributes):
                actual = shown(attributes[check.key]) if check.key in attributes else "absent"
                service = index.table.resource[row].service
                message = f"resource of `{service}`: {describe_attribute(check)} (is {actual})"
                return failed(message, actual, [row], is_settled=True)
    return passed(f"{plural(len(first_rows), 'resource')} with every pair", len(first_rows), first_rows)


def _distinct_resources(index: SpanIndex) -> list[int]:
    """The first row of each resource, by content; equal ones mostly are one object."""
    seen_objects: set[int] = set()
    by_content: dict[str, int] = {}
    for row in index.program:
        resource = index.table.resource[row]
        if id(resource) not in seen_objects:
            seen_objects.add(id(resource))
            by_content.setdefault(canonical_json(resource.attributes), row)
    return list(by_content.values())


def _forbidden(globs: Sequence[str], index: SpanIndex) -> Finding:
    rows_by_key: dict[str, list[int]] = {}
    for row in index.program:
        for key in index.table.attributes[row]:
            rows_by_key.setdefault(key, []).append(row)
    tests = [re.compile(translate(glob)).match for glob in globs]
    bad = sorted(key for key in rows_by_key if any(test(key) for test in tests))
    if not bad:
        return passed("no span carries a forbidden key", [])
    rows = sorted({row for key in bad for row in rows_by_key[key]})
    listed = "; ".join(f"`{key}` on {index.names_text(rows_by_key[key])}" for key in bad[:_HOSTS_SHOWN])
    return failed(f"forbidden keys: {listed}", bad, rows, is_settled=True)


# --------------------------------------------------------------------------------- leftovers and images


def _no_leak(kind: str, outcome: TestOutcome) -> Finding:
    left = sorted(name for type_, name in outcome.leftovers if type_ == kind)
    if left:
        return failed(f"left behind by the test: {kind} {', '.join(f'`{name}`' for name in left)}", left)
    if _can_prove(kind, outcome):
        return passed(f"no {kind} was left behind", [])
    if kind == "process" and not outcome.replayed:
        return not_evaluated("only the process backend sees processes", NOT_HERMETIC)
    return not_evaluated(f"the {outcome.backend} backend cannot tell whether a {kind} was left", NOT_HERMETIC)


def _can_prove(kind: str, outcome: TestOutcome) -> bool:
    if outcome.replayed:
        return False
    if kind == "process":
        return outcome.backend == "process"
    return outcome.hermetic or outcome.backend in _CONTAINER_BACKENDS


def _images(globs: Sequence[str], outcome: TestOutcome) -> Finding:
    patterns = [NamePattern.of(glob) for glob in globs]
    others = sorted({image for image in outcome.images if not any(p.matches(image) for p in patterns)})
    if others:
        return failed(f"images that are not allowed: {', '.join(f'`{image}`' for image in others)}", others)
    if not _can_prove("container", outcome):
        return not_evaluated("no container ran whose image could be checked", NOT_HERMETIC)
    return passed(
        f"{plural(len(set(outcome.images)), 'image')} used, all allowed", sorted(set(outcome.images))
    )
