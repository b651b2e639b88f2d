"""A table in a pipe is a row a line; on a narrow terminal it is readable, and no id is cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from stream_app.cli.tables import table_lines

COLUMNS = ("FIRED", "STATE", "CAUSE", "ID")
ID = "stream-app:1111:incidents_exceeded:" + "3f9a61" * 10
ROWS = [
    ("2026-11-24T08:00:00Z", "sent", "trigger 61 (Notification about incidents)", ID),
    ("2026-11-24T09:00:00Z", "", "notice integration_broken", "short"),
]
ADVICE = (
    "integration 5 fails at 50 % of all requests",
    "stream-app integrations test 5, then wait",
)


def lines(
    columns: Sequence[str], rows: Sequence[tuple[str, ...]], width: int | None = None
) -> list[str]:
    return [(heading + text).rstrip() for heading, text in table_lines(columns, rows, width)]


def test_in_a_pipe_a_row_is_a_line_and_its_columns_stand_below_each_other() -> None:
    head, first, second = lines(COLUMNS, ROWS)
    assert first.split("  ")[-1] == ID
    assert [second.index(text) for text in ("2026", "notice", "short")] == [
        head.index(name) for name in ("FIRED", "CAUSE", "ID")
    ]


def test_on_a_terminal_that_is_wide_enough_it_is_the_same() -> None:
    plain = lines(COLUMNS, ROWS)
    assert lines(COLUMNS, ROWS, len(max(plain, key=len))) == plain


def test_where_ids_do_not_fit_a_row_is_a_block_without_what_is_empty() -> None:
    first, second = "\n".join(lines(COLUMNS, ROWS, 60)).split("\n\n")
    assert first.splitlines() == [
        "FIRED  2026-11-24T08:00:00Z",
        "STATE  sent",
        "CAUSE  trigger 61 (Notification about incidents)",
        f"ID     {ID}",
    ]
    assert [line.split()[0] for line in second.splitlines()] == ["FIRED", "CAUSE", "ID"]


def test_a_text_is_wrapped_between_words_where_that_is_enough() -> None:
    assert lines(("WHAT", "NEXT STEP"), [ADVICE], 60) == [
        "WHAT                           NEXT STEP",
        "integration 5 fails at 50 %    stream-app integrations test",
        "of all requests                5, then wait",
    ]


@pytest.mark.parametrize("width", [1, 20, 60, 61, 80, 100])
@given(st.lists(st.tuples(*[st.text("ab 日", max_size=60)] * 3), min_size=1, max_size=4))
def test_no_word_is_cut_or_lost_and_no_line_is_wider_without_need(
    width: int, rows: list[tuple[str, ...]]
) -> None:
    shown = lines(("A", "B", "C"), rows, width)
    words = [word for row in rows for text in row for word in text.split(" ")]
    for word in filter(None, words):
        assert any(word in line for line in shown)
    longest = max(map(cell_len, words), default=0)
    assert all(cell_len(line) <= max(width, longest + len("A  ")) for line in shown)
