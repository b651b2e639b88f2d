from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.opsgenie.text import clean, clean_lines, cut, length

EMAIL = re.compile(r"<[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+>")
MARKUP = st.text(st.sampled_from("<>/!?ab@.=\"' \n\x00é😀"), max_size=60)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>bold</b> text", "bold text"),
        ('<img src=x onerror="alert(1)">', ""),
        ("<a href='https://evil.example'>here</a>", "here"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<!-- hidden --><!DOCTYPE html><?php 1 ?>kept", "kept"),
        ("<img src=x onerror=alert(1)", "img src=x onerror=alert(1)"),
        ("<<b>script>alert(1)", "script>alert(1)"),
        ("<scr<b>ipt>x", "script>x"),
        ("<s\x00cript>x", "x"),
        ("<br/>\n<br />", ""),
        ("1 < 2 and 3 > 2, I <3 it", "1 < 2 and 3 > 2, I <3 it"),
        ("\u2019 stays, so does ü and 😀", "\u2019 stays, so does ü and 😀"),
        ("a\x1b[31mred\x7f\x85b", "a[31mred\nb"),
        ("abc\u202edef", "abcdef"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        (" one\r\ntwo\tthree\u2028four ", "one\ntwo three\nfour"),
    ],
)
def test_markup_and_control_characters_are_taken_out(text: str, expected: str) -> None:
    assert clean_lines(text) == expected


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["<", "<a", "</", "<a@", "<!", "&lt;<", "\u2028"])
def test_a_long_text_of_odd_pieces_is_read_once(piece: str) -> None:
    assert "<a" not in clean_lines(piece * 1_000_000)


def test_an_email_address_in_angle_brackets_stays() -> None:
    text = "A new user John Smith <john.o'smith+x@example.com> with the role Analyst"
    assert clean_lines(text) == text


def test_an_email_address_cannot_carry_attributes() -> None:
    assert clean_lines("<a@b.c onclick=alert(1)>x<img/@b.c>") == "x"


def test_one_line_has_no_breaks_and_no_double_spaces() -> None:
    assert clean(" a\n\nb \t c\r\n") == "a b c"


@given(MARKUP)
def test_no_tag_can_open_in_clean_text(text: str) -> None:
    assert not re.search(r"<[A-Za-z/!?]", EMAIL.sub("", clean_lines(text)))


@given(MARKUP)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(max_size=80), st.integers(min_value=2, max_value=40))
def test_a_cut_text_fits_in_code_points_and_in_utf_16_units(text: str, limit: int) -> None:
    shown = cut(text, limit)
    assert len(shown) <= limit
    assert len(shown.encode("utf-16-le")) // 2 <= limit
    assert (shown == text) == (length(text) <= limit)


def test_a_text_is_cut_at_a_word() -> None:
    assert cut("the number of incidents", 20) == "the number of…"
    assert cut("the number of incidents", 14) == "the number of…"
    assert cut("the number of incidents", 13) == "the number…"


def test_a_long_word_is_cut_itself() -> None:
    assert cut("at " + "x" * 50, 10) == "at xxxxxx…"


def test_a_pair_of_surrogates_is_never_split() -> None:
    assert cut("😀" * 10, 10) == "😀😀😀😀…"
    assert length("😀" * 5) == 10
    assert cut("😀" * 5, 10) == "😀" * 5


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["<a", "<", "<!", "<a@", " ", "<<b>", "a@b"])
def test_a_long_hostile_text_takes_linear_time(part: str) -> None:
    text = part * 200_000 + "x"
    assert length(cut(clean_lines(text), 15_000)) <= 15_000
