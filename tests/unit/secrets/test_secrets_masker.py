"""Whatever a secret is and however it is written, no output keeps it."""

from __future__ import annotations

import base64
import html
import json
import re
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clnrm_nb.executor.backends.docker.stream import CappedBytes
from clnrm_nb.secrets import MASK, SHORTEST, Masker, is_too_short, names_a_secret

# Weighted towards what encoders treat in their own ways.
ODD = st.sampled_from("\"'\\/+%&=<> \n\t-_.~:@$é€ж😀\x7f\x01")
CHARACTERS = st.one_of(st.characters(exclude_characters=f"{MASK}\0", exclude_categories=["Cs"]), ODD)
SECRETS = st.text(CHARACTERS, min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= SHORTEST)
AROUND = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), ODD), max_size=30)


def lower_hex(text):
    return re.sub("%..", lambda code: code[0].lower(), text)


TEXT_FORMS = {
    "raw": str,
    "percent": lambda s: quote(s, safe=""),
    "percent, slashes kept": quote,
    "percent, lower hex": lambda s: lower_hex(quote(s, safe="")),
    "form": quote_plus,
    "encodeURI": lambda s: quote(s, safe=";,/?:@&=+$#!'()*~"),
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, not ASCII": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON, upper hex": lambda s: re.sub(r"\\u....", lambda c: "\\u" + c[0][2:].upper(), json.dumps(s)[1:-1]),
    "JSON, slashes escaped": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "hex": lambda s: s.encode().hex(),
    "upper hex": lambda s: s.encode().hex().upper(),
}
ENCODERS = {
    "standard": base64.b64encode,
    "URL-safe": base64.urlsafe_b64encode,
    "unpadded": lambda data: base64.b64encode(data).rstrip(b"="),
    "wrapped": base64.encodebytes,
    "narrow": lambda data: b"\n".join(re.findall(b".{1,5}", base64.b64encode(data))),
}


def forms_in(secret, output):
    """Names of the forms of `secret` that are left in a text, wherever its base64 may begin."""
    found = [name for name, form in TEXT_FORMS.items() if form(secret) in output]
    compact = re.sub(r"\s", "", output).replace("-", "+").replace("_", "/")
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + secret.encode()).decode().rstrip("=")
        core = whole[-(-8 * offset // 6) : (8 * (offset + len(secret.encode()))) // 6]
        found += [f"base64 at {offset}"] if core in compact else []
    return found


@given(SECRETS, st.sampled_from(sorted(TEXT_FORMS)), AROUND, AROUND)
def test_no_form_of_a_secret_is_left_in_any_text(secret, form, before, after):
    secret = secret.strip()
    output = Masker([secret]).text(before + TEXT_FORMS[form](secret) + after)

    assert forms_in(secret, output) == []
    assert MASK in output


@given(SECRETS, st.sampled_from(sorted(ENCODERS)), st.binary(max_size=20), st.binary(max_size=20))
def test_no_form_of_a_secret_is_left_in_longer_base64_at_any_alignment(secret, encoder, before, after):
    secret = secret.strip()
    encoded = ENCODERS[encoder](before + secret.encode() + after).decode()

    output = Masker([secret]).text(f"Authorization: Basic {encoded} ok")

    assert forms_in(secret, output) == []
    assert output.startswith("Authorization: Basic ")
    assert output.endswith(" ok")


@given(SECRETS, st.sampled_from(sorted(TEXT_FORMS)), AROUND, st.lists(st.integers(0, 400), max_size=6))
def test_pieces_that_a_secret_arrives_in_do_not_matter(secret, form, around, cuts):
    secret = secret.strip()
    printed = (around + TEXT_FORMS[form](secret) + around).encode()
    kept = CappedBytes(10_000)
    for start, end in pairwise([0, *sorted(min(cut, len(printed)) for cut in cuts), len(printed)]):
        kept.add(printed[start:end])

    output = Masker([secret]).data(bytes(kept)).decode()

    assert forms_in(secret, output) == []


@given(SECRETS, st.sampled_from(["raw", "percent", "JSON", "hex"]), st.integers(0, 200))
def test_secret_cut_in_half_where_output_was_capped_leaves_no_recognisable_half(secret, form, limit):
    secret = secret.strip()
    written = TEXT_FORMS[form](secret).encode()
    assume(len(written) > SHORTEST)
    cut = written[: SHORTEST + limit % (len(written) - SHORTEST)]

    output = Masker([secret]).data(b"token: " + cut, is_cut=True)

    assert output == b"token: " + MASK.encode()


def test_three_characters_of_a_secret_may_stand_at_the_edge_and_four_may_not():
    masker = Masker(["hunter2-forever"])

    assert masker.data(b"it is hun", is_cut=True) == b"it is hun"
    assert masker.data(b"it is hunt", is_cut=True) == b"it is " + MASK.encode()
    assert masker.data(b"it is hunt") == b"it is hunt"


@given(st.lists(SECRETS, min_size=2, max_size=4), AROUND)
def test_secrets_that_overlap_or_hold_each_other_leave_no_part(secrets, around):
    secrets = [secret.strip() for secret in secrets]
    overlapping = secrets[0] + secrets[1][1:] if secrets[0][-1] == secrets[1][0] else secrets[0] + secrets[1]

    output = Masker(secrets).text(around + overlapping + around)

    assert [secret for secret in secrets if secret in output] == []


@pytest.mark.parametrize(
    ("secret", "printed"),
    [
        ("p@ss/w0rd", "p%2540ss%252Fw0rd"),
        ('say "hi"', json.dumps(json.dumps('say "hi"'))[3:-3]),
        ("a<b>&c'd\"e", html.escape("a<b>&c'd\"e")),
        ("über+100%", "\\u00fcber%2B100%25"),
        ("two\nlines", "two\n    lines"),
        ("tab\there", r"tab\there"),
        ("bell\x07ring", repr("bell\x07ring")[1:-1]),
        ("pa$$word", "pa\\$\\$word"),
    ],
)
def test_encodings_may_be_nested_mixed_and_of_source_code(secret, printed):
    assert Masker([secret]).text(f"<{printed}>") == f"<{MASK}>"


def test_basic_authorization_keeps_nothing_of_the_password():
    header = base64.b64encode(b"ada:hunter2-forever").decode()

    output = Masker(["hunter2-forever"]).text(f"Authorization: Basic {header}")

    assert output == f"Authorization: Basic {header[:5]}{MASK}"


def test_lines_of_a_long_secret_are_secrets_too():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nq7JXzA==\n-----END KEY-----\n"

    output = Masker([key]).text("2025-01-01 MIIEvQIBADANBgkqhkiG9w0\n2025-01-01 q7JXzA==\n")

    assert output == f"2025-01-01 {MASK}\n2025-01-01 {MASK}\n"


def test_white_space_around_a_value_does_not_save_it():
    assert Masker(["hunter2\n"]).text("is it hunter2?") == f"is it {MASK}?"


@pytest.mark.parametrize("short", ["a", "ab", "abc", " abc"])
def test_values_that_are_too_short_are_left_and_said_to_be(short):
    assert is_too_short(short)
    assert Masker([short.strip()]).text("abc is not masked") == "abc is not masked"
    assert not Masker([short.strip()])


@pytest.mark.parametrize("enough", ["", "abcd", "  "])
def test_an_empty_value_is_no_secret_and_four_characters_are_enough(enough):
    assert not is_too_short(enough)


def test_values_of_any_shape_are_masked_keys_too_and_numbers_left():
    masked = Masker(["hunter2"]).value(
        {"hunter2": [1, 2.5, None, True, ("x hunter2", b"hunter2")], "n": {"deep": {"hunter2"[:7]: "no"}}}
    )

    assert masked == {MASK: [1, 2.5, None, True, (f"x {MASK}", MASK.encode())], "n": {"deep": {MASK: "no"}}}


def test_text_without_secrets_is_returned_as_it_is():
    text = "nothing to see, \udce9 either"

    assert Masker(["hunter2"]).text(text) is text
    assert Masker().text(text) is text


def test_halves_of_surrogate_pairs_beside_a_secret_survive():
    assert Masker(["hunter2"]).text("\ud83d hunter2") == f"\ud83d {MASK}"


def test_bytes_that_are_no_text_beside_a_secret_survive():
    assert Masker(["hunter2"]).data(b"\xff\x00hunter2\xfe") == b"\xff\x00" + MASK.encode() + b"\xfe"


def test_secret_that_is_not_unicode_is_found_in_bytes():
    secret = b"na\xefve-token".decode("utf-8", "surrogateescape")

    assert Masker([secret]).data(b"<na\xefve-token>") == f"<{MASK}>".encode()


def test_what_hides_secrets_does_not_show_them():
    masker = Masker(["hunter2"])

    assert "hunter2" not in repr(masker)
    assert "hunter2" not in str(vars(masker) if hasattr(masker, "__dict__") else "")


@given(SECRETS, AROUND, st.sampled_from(["plain", "nested", "key"]))
def test_values_said_to_be_clean_are(secret, around, place):
    secret = secret.strip()
    value = {"plain": [around + secret], "nested": {"a": (1, {"b": secret + around})}, "key": {secret: 1}}[
        place
    ]

    assert not Masker([secret]).is_clean(value)


@pytest.mark.parametrize("flood", ["hunter " * 20_000, "hun" * 50_000, "hunter2" * 20_000])
def test_floods_of_what_a_secret_begins_with_are_no_trap(flood):
    output = Masker(["hunter2-é forever"]).text(flood + "hunter2-%C3%A9%20forever")

    assert output == flood + MASK


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("API_TOKEN", True),
        ("db_password", True),
        ("SECRET_KEY", True),
        ("MONKEY", False),
        ("TOKEN_TTL", False),
    ],
)
def test_names_promise_secrets(name, is_one):
    assert names_a_secret(name) is is_one
