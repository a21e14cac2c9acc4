"""Secrets out of spans, outcomes, files and errors."""

from __future__ import annotations

import pytest

from clnrm_nb.errors import ClnrmError, Diagnostic, Fix, Related, TextEdit
from clnrm_nb.executor.masking import mask_error, mask_files, mask_outcome, mask_spans, masked_finding
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome
from clnrm_nb.secrets import MASK, Masker
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

SECRET = "hunter2-forever"
MASKER = Masker([SECRET])


def span(number=1, **fields):
    return Span("a" * 32, f"{number:016x}", **{"name": "quiet", **fields})


def test_every_text_of_a_span_is_masked_and_nothing_else():
    nested = {SECRET: [SECRET, 1, 2.5, True, {"deep": (SECRET, b"x" + SECRET.encode())}]}
    table = SpanTable([
        span(
            name=f"login {SECRET}",
            status_message=SECRET,
            attributes=nested,
            events=(Event(SECRET, 7, {"e": SECRET}),),
            links=(Link("b" * 32, "c" * 16, {SECRET: SECRET}),),
            resource=Resource({"r": [SECRET]}),
            scope=Scope(SECRET, SECRET),
            start_ns=5,
        )
    ])  # fmt: skip

    mask_spans(table, MASKER)

    masked = table.span(0)
    assert SECRET not in repr(masked)
    assert masked.name == f"login {MASK}"
    assert masked.attributes == {MASK: [MASK, 1, 2.5, True, {"deep": (MASK, b"x" + MASK.encode())}]}
    assert masked.events == (Event(MASK, 7, {"e": MASK}),)
    assert masked.links == (Link("b" * 32, "c" * 16, {MASK: MASK}),)
    assert (masked.resource, masked.scope) == (Resource({"r": [MASK]}), Scope(MASK, MASK))
    assert (masked.trace_id, masked.span_id, masked.start_ns) == ("a" * 32, f"{1:016x}", 5)


def test_one_span_among_many_is_found_and_the_others_keep_their_objects():
    attributes = [{"n": number} for number in range(1000)]
    attributes[777] = {"n": SECRET}
    table = SpanTable(span(number + 1, attributes=one) for number, one in enumerate(attributes))

    mask_spans(table, MASKER)

    assert table.attributes[777] == {"n": MASK}
    assert table.attributes[3] is attributes[3]


def test_spans_share_their_resource_afterwards_too():
    resource = Resource({"r": SECRET})
    table = SpanTable(span(number, resource=resource) for number in (1, 2))

    mask_spans(table, MASKER)

    assert table.resource[0] is table.resource[1]


@pytest.mark.parametrize("odd", ["\"'\"'", "ж€😀é", "\u2028\u2029\x85\xa0!!"])
def test_secrets_without_letters_are_found_in_spans_too(odd):
    table = SpanTable([span(attributes={"a": [f"<{odd}>"]})])

    mask_spans(table, Masker([odd]))

    assert table.attributes[0] == {"a": [f"<{MASK}>"]}


def test_all_texts_of_an_outcome_but_names_are_masked():
    command = CommandOutcome(
        "c", ["echo", SECRET], None, "failed", stdout=SECRET, stderr=SECRET, reason=SECRET
    )
    verdict = ExpectationResult(
        f"span[{SECRET}]", "span", "failed", SECRET, SECRET, {"a": SECRET}, [SECRET, 3]
    )
    outcome = TestOutcome(
        "t", "t", matrix={"m": SECRET}, reason=SECRET,
        scenarios=[ScenarioOutcome("s", "failed", commands=[command], reason=SECRET)],
        expectations=[verdict], diagnostics=[Diagnostic("CLN605", SECRET, hint=SECRET)],
    )  # fmt: skip

    mask_outcome(outcome, MASKER)

    assert SECRET not in repr(outcome)
    assert outcome.scenarios[0].commands[0].argv == ["echo", MASK]
    assert outcome.expectations[0].actual == [MASK, 3]


def test_findings_keep_their_place_and_their_repair():
    fix = Fix("write it so", (TextEdit(1, 1, 1, 2, "x"),))
    related = (Related("f", 1, 2, f"as in {SECRET}"),)
    finding = Diagnostic("CLN306", SECRET, "f", 3, 4, hint=SECRET, related=related, fix=fix)

    masked = masked_finding(finding, MASKER)

    assert (masked.message, masked.hint, masked.related[0].message) == (MASK, MASK, f"as in {MASK}")
    assert (masked.file, masked.line, masked.fix) == ("f", 3, fix)


def test_files_copied_out_are_masked_with_their_names_and_others_left(tmp_path):
    files = tmp_path / "scenario" / "files" / f"of {SECRET}"
    files.mkdir(parents=True)
    (files / f"{SECRET}.txt").write_bytes(b"\x00\xff" + SECRET.encode())
    (files / f"{MASK}.txt").write_text("was there before")
    (files / "clean").write_text("clean")
    (files / "link").symlink_to("/etc/passwd")
    beside = tmp_path / "scenario" / "stdout.log"
    beside.write_text(SECRET)

    mask_files(tmp_path, MASKER)

    masked = tmp_path / "scenario" / "files" / f"of {MASK}"
    assert {path.name for path in masked.iterdir()} == {f"{MASK}.txt", f"{MASK}.txt-2", "clean", "link"}
    assert (masked / f"{MASK}.txt-2").read_bytes() == b"\x00\xff" + MASK.encode()
    assert beside.read_text() == SECRET


def test_errors_are_masked_with_all_that_led_to_them():
    failure = OSError(5, f"no {SECRET}")
    failure.__cause__, failure.__context__ = ValueError(SECRET), KeyError(SECRET)
    stop = ClnrmError(SECRET, "CLN901", hint=SECRET, diagnostics=[Diagnostic("CLN605", SECRET)])
    stop.add_note(f"note {SECRET}")
    stop.__cause__ = failure

    mask_error(stop, MASKER)

    assert SECRET not in str(stop) + "".join(stop._render_traceback_()) + str(stop.__notes__)
    assert SECRET not in repr([stop.__cause__, stop.__cause__.__cause__, stop.__cause__.__context__])
