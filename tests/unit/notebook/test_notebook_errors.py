"""What panels say of errors and lists, in one place each."""

from clnrm_nb.api.reviewqueue import Item
from clnrm_nb.errors import UsageError
from clnrm_nb.notebook.livehtml import error_bundle, told
from clnrm_nb.notebook.review.widget import _label


def test_hint_of_an_error_is_said_once():
    error = UsageError("there is no <test>", hint="Name one.")

    bundle = error_bundle(error)

    assert told(error)[1] == "Name one."
    assert bundle["text/html"].count("Name one.") == bundle["text/plain"].count("Name one.") == 1
    assert "<test>" not in bundle["text/html"]


def test_error_without_a_hint_is_one_line():
    assert told(ValueError("no")) == ("ValueError: no", "")
    assert error_bundle(ValueError("no"))["text/plain"] == "ValueError: no"


def test_narrow_list_of_a_review_still_tells_scenarios_of_one_test_apart():
    labels = [_label(Item(f"tests/quickstart/quickstart.clnrm.toml.tera::{name}")) for name in ("in", "out")]

    first, second = (label[:20] for label in labels)
    assert first != second
