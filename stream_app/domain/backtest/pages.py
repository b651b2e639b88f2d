"""How many pages fired windows are, by how an integration wants to be told of one attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    Deduplicate,
    RepeatOptions,
)
from stream_app.domain.episodes.episode import FiredWindow
from stream_app.domain.episodes.episode_log import tally

#: What is shown beside what the integrations have chosen, so that a person can choose.
SHOWN_OPTIONS = (
    EACH_WINDOW,
    RepeatOptions(Deduplicate.EPISODE),
    RepeatOptions(Deduplicate.EPISODE, 3600),
    RepeatOptions(Deduplicate.EPISODE, 3600, 7200),
)


class PagesRow(NamedTuple):
    """What some options make of fired windows.

    `pages` are the requests that open an alert, `repeats` those that an open alert takes, and
    `folded` the windows without a request. `integration_ids` are those that have these options.
    """

    options: RepeatOptions
    pages: int
    repeats: int
    folded: int
    integration_ids: tuple[int, ...]


def pages_rows(
    windows: Sequence[FiredWindow],
    chosen: Mapping[int, RepeatOptions],
    shown: Sequence[RepeatOptions] = (),
) -> list[PagesRow]:
    """Return a row for each choice, the one with the most pages first.

    Args:
        windows: of one trigger, in the order in which they fired.
        chosen: the options of the trigger's integrations, by id.
        shown: further options.
    """
    who: dict[RepeatOptions, list[int]] = {options: [] for options in shown}
    for number, options in chosen.items():
        # A note pages nobody.
        same = msgspec.structs.replace(options, repeat_notes=True)
        who.setdefault(same, []).append(number)
    rows = []
    for options, numbers in who.items():
        found = tally(windows, options)
        rows.append(
            PagesRow(options, found.first, found.repeats, found.folded, tuple(sorted(numbers)))
        )
    return sorted(rows, key=lambda row: (-row.pages, -row.repeats))


def pages_text(windows: int, rows: Sequence[PagesRow]) -> str:
    """Return the pages at each integration: `57 windows, 3 pages at integration 521`."""
    parts = [_amount(windows, "window")]
    for row in rows:
        if row.integration_ids:
            noun = "integration" if len(row.integration_ids) == 1 else "integrations"
            ids = ", ".join(map(str, row.integration_ids))
            parts.append(f"{_amount(row.pages, 'page')} at {noun} {ids}")
    return ", ".join(parts)


def _amount(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
