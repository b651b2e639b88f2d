from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.domain.foreign_text.printable import (
    printable,
    printable_json,
    printable_lines,
    quoted,
    value_text,
)

#: Any code point; those that act or hide come more often than by chance.
CHARACTERS = st.characters() | st.sampled_from(
    "\x00\x07\x08\t\n\r\x1b\x7f\x85\x90\x9b\x9d\xa0\xad\u0301\u034f\u0488\u061c\u115f\u200b\u200d"
    "\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\u2800\u3164\ufe0f\ufeff\ufff9\ud800\udcff"
    "\U000e0041\U000e0100\U0010ffff[]\\:x1b"
)
TEXTS = st.text(CHARACTERS, max_size=60)
COMBINING = {"Mn", "Me"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe → 1, 日本語, नमस्ते, שָׁלוֹם, Việt", "Größe → 1, 日本語, नमस्ते, שָׁלוֹם, Việt"),
        ("Notify [/marketing] team :100:", "Notify [/marketing] team :100:"),
        (r"C:\new\x", r"C:\new\x"),
        ("a\x1b[2Jb\x9bc\r\u202ed\n", r"a\x1b[2Jb\x9bc\r\u202ed\n"),
        ("\x1b]0;pwned\x07", r"\x1b]0;pwned\x07"),
        ("to\u200bken \u2066x\u2069 \u200f", r"to\u200bken \u2066x\u2069 \u200f"),
        ("a\u2028b\u2029c\x85d\xa0e", r"a\u2028b\u2029c\x85d\xa0e"),
        ("\ud800 and \udcff", r"\ud800 and \udcff"),
        ("\U000e0041\ue000\u3164\u2800", r"\U000e0041\ue000\u3164\u2800"),
        ("\u0301first", r"\u0301first"),
        ("Z" + "\u0321" * 6, "Z" + "\u0321" * 4 + r"\u0321" * 2),
    ],
)
def test_what_acts_or_hides_is_shown_and_the_rest_is_as_written(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(TEXTS)
@example("\\" + "\n")
def test_any_text_becomes_one_visible_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert len(shown.splitlines()) <= 1
    marks = 5
    for character in shown:
        marks = marks + 1 if unicodedata.category(character) in COMBINING else 0
        assert marks <= 4
    assert printable(shown) == shown


@given(TEXTS.filter(lambda text: "\\" not in text))
def test_the_text_can_be_recovered_from_what_is_shown(text: str) -> None:
    assert json.loads(f'"{_as_json(printable(text))}"') == _joined(text)


def _as_json(shown: str) -> str:
    """Turn the escapes of a Python string into JSON's."""
    text = shown.encode("latin-1", "backslashreplace").decode("unicode_escape")
    return json.dumps(text)[1:-1]


def _joined(text: str) -> str:
    """Return a text as JSON gives it back: two halves of a pair that meet are one character."""
    found: str = json.loads(json.dumps(text))
    return found


@given(TEXTS)
def test_lines_stay_lines_and_nothing_else_acts(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert all(line.isprintable() for line in shown.split("\n"))


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS)))
def test_json_keeps_its_meaning_and_nothing_in_it_acts(value: object) -> None:
    document = json.dumps(value, ensure_ascii=False, indent=1)
    shown = printable_json(document)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(shown) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "true"),
        (10, "10"),
        ("it's", '"it\'s"'),
        ("", "''"),
        (["a\x1b", None, {"b": False}], r"['a\x1b', null, {b: false}]"),
    ],
)
def test_a_value_is_shown_in_the_words_of_a_file(value: object, text: str) -> None:
    assert quoted(value) == text
    assert value_text(value) == (value if isinstance(value, str) else text)


def test_a_value_that_holds_itself_is_shown_to_a_depth() -> None:
    value: list[object] = []
    value.append(value)
    assert quoted(value).endswith("…" + "]" * 20)
