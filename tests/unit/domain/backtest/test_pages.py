"""How many pages fired windows are: counted by hand, and as the episodes' own rule says."""

from __future__ import annotations

from stream_app.domain.backtest.pages import SHOWN_OPTIONS, PagesRow, pages_rows, pages_text
from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    Deduplicate,
    RepeatOptions,
)
from stream_app.domain.episodes.episode import FiredWindow

#: Ten minutes of attack in windows of a second, an hour of quiet, and a minute more of it.
ATTACK = [FiredWindow(second, second + 1) for second in (*range(600), *range(4200, 4260))]
MINUTELY = RepeatOptions(Deduplicate.EPISODE, 60, 300)


def test_ten_minutes_of_attack_are_660_pages_or_two_or_one() -> None:
    each, closed, *open_ones = pages_rows(ATTACK, {521: MINUTELY, 522: EACH_WINDOW}, SHOWN_OPTIONS)
    assert each == PagesRow(EACH_WINDOW, 660, 0, 0, (522,))
    # A repeat at the beginning of each minute but the first of each of the two.
    assert closed == PagesRow(MINUTELY, 2, 9, 649, (521,))
    assert open_ones == [
        PagesRow(SHOWN_OPTIONS[1], 1, 659, 0, ()),
        PagesRow(SHOWN_OPTIONS[2], 1, 1, 658, ()),
        PagesRow(SHOWN_OPTIONS[3], 1, 1, 658, ()),
    ]


def test_integrations_with_the_same_options_share_a_row_whatever_their_notes() -> None:
    silent = RepeatOptions(Deduplicate.EPISODE, 60, 300, repeat_notes=False)
    (row,) = pages_rows(ATTACK, {522: silent, 521: MINUTELY})
    assert (row.options, row.integration_ids) == (MINUTELY, (521, 522))


def test_pages_stand_beside_the_windows() -> None:
    rows = pages_rows(ATTACK, {521: MINUTELY, 522: EACH_WINDOW, 523: EACH_WINDOW}, SHOWN_OPTIONS)
    assert pages_text(660, rows) == (
        "660 windows, 660 pages at integrations 522, 523, 2 pages at integration 521"
    )
    one = pages_rows(ATTACK[:1], {521: MINUTELY})
    assert pages_text(1, one) == "1 window, 1 page at integration 521"
    assert pages_text(0, []) == "0 windows"
