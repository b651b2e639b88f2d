"""The oracle of the test on ten minutes of attack: by hand, and against the code it judges."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.episodes.episode import FiredWindow
from stream_app.domain.episodes.episode_log import SeriesState, take_window
from tests.integration.episodes.oracle import Choice, Expected, Fired, Told, expected

EACH_WINDOW = Choice()
EPISODE = Choice(episodes=True)
MINUTE = Choice(episodes=True, repeat=60)
CLOSED = Choice(episodes=True, repeat=60, close_after=300)


def fired(start: int, *, client: int = 1, revision: str = "r", redriven: bool = False) -> Fired:
    name = f"{client}:{revision}:{start}"
    return Fired(name, client, 7, revision, start, start + 1, (5,), redriven)


def result(choice: Choice, *starts: int | Fired) -> Expected:
    rows = [one if isinstance(one, Fired) else fired(one) for one in starts]
    return expected((one, {5: choice}) for one in rows)


def creates(found: Expected) -> list[str]:
    return [name.removeprefix("1:r:").removesuffix("/5") for name in found.creates]


def numbers(found: Expected) -> tuple[int, int, int, int]:
    return len(found.creates), len(found.notes), len(found.folded), len(found.attacks)


@pytest.mark.parametrize(
    ("choice", "pages"),
    [
        (EACH_WINDOW, (600, 0, 0, 0)),
        (EPISODE, (600, 599, 0, 1)),
        (EPISODE._replace(notes=False), (600, 0, 0, 1)),
        (MINUTE, (10, 9, 590, 1)),
        (CLOSED, (10, 9, 590, 1)),
    ],
)
def test_ten_minutes_of_attack(choice: Choice, pages: tuple[int, int, int, int]) -> None:
    assert numbers(result(choice, *range(600))) == pages


def test_a_request_tells_what_made_none_before_it() -> None:
    found = result(MINUTE, 0, 5, 59, 60, 61, 130, 300)
    assert [told for _, told in found.creates.values()] == [
        Told(),
        Told(2, 0),
        Told(1, 60),
        Told(0, 0),
    ]
    assert list(found.notes.values()) == [Told(2, 0), Told(1, 60), Told(0, 0)]


@pytest.mark.parametrize(
    ("choice", "gap", "attacks"),
    [(CLOSED, 300, 1), (CLOSED, 301, 2), (MINUTE, 86_400, 1), (MINUTE, 86_401, 2)],
)
def test_a_gap_longer_than_the_silence_ends_an_attack(
    choice: Choice, gap: int, attacks: int
) -> None:
    found = result(choice, 0, 1 + gap)
    assert len(found.attacks) == attacks
    assert len(found.notes) == 2 - attacks


def test_a_window_that_comes_late_joins_the_attack_that_it_lies_in() -> None:
    found = result(EPISODE._replace(close_after=300), 100, 50, 1000, 70)
    assert [(attack.name[-1], attack.end) for attack in found.attacks] == [(100, 101), (1000, 1001)]
    assert [attack.windows for attack in found.attacks if attack.name[-1] == 100] == [
        [(100, 101), (50, 51), (70, 71)]
    ]


def test_a_window_that_comes_late_makes_no_request_where_repeats_are_limited() -> None:
    found = result(MINUTE, 100, 30, 161)
    assert creates(found) == ["100", "161"]
    assert list(found.notes.values()) == [Told(1, 100)]


def test_a_window_that_comes_twice_counts_once() -> None:
    assert numbers(result(MINUTE, 0, 1, 1, 0, 60)) == (2, 1, 1, 1)


def test_a_window_that_a_person_sends_again_is_told() -> None:
    found = result(MINUTE, 0, 1, 2, fired(1, redriven=True), 60)
    assert creates(found) == ["0", "1", "60"]
    assert [told for _, told in found.creates.values()] == [Told(), Told(), Told(2, 0)]


def test_a_window_that_a_person_sends_late_is_told_though_repeats_are_limited() -> None:
    found = result(MINUTE, 0, 10, fired(5, redriven=True), 64, 65)
    assert creates(found) == ["0", "5", "65"]
    assert [told for _, told in found.creates.values()] == [Told(), Told(1, 0), Told(1, 5)]


def test_an_attack_is_of_one_client_one_revision_and_one_target() -> None:
    rows = [fired(0), fired(1, client=2), fired(2, revision="s")]
    assert numbers(result(EPISODE, *rows)) == (3, 0, 0, 3)
    targets = [(fired(0), EPISODE), (fired(1), EPISODE._replace(epoch=1)), (fired(0), EPISODE)]
    found = expected((one, {5: choice}) for one, choice in targets)
    assert numbers(found) == (2, 0, 0, 2)


def test_an_integration_that_is_not_there_is_told_nothing() -> None:
    assert numbers(expected([(fired(0), {})])) == (0, 0, 0, 0)


def decided(rows: Iterable[Fired], options: RepeatOptions) -> list[tuple[str, int, Told]]:
    """Return what the code makes of windows: the kind, the attack's first window, what it tells."""
    state, found = SeriesState(), []
    for offset, one in enumerate(rows):
        window = FiredWindow(one.start, one.end)
        state, decision = take_window(
            state, window, options, 0, offset, is_redriven=one.is_redriven
        )
        if decision is not None:
            told = Told(decision.folded, decision.since if decision.folded else 0)
            found.append((str(decision.told), decision.episode.first_start, told))
    return found


def read(found: Expected, rows: Iterable[Fired]) -> list[tuple[str, int, Told]]:
    """Return the same of the oracle's answer."""
    seen, told = set(), []
    for one in rows:
        name = f"{one.alert_id}/5"
        if one.alert_id in seen:
            continue
        seen.add(one.alert_id)
        if name in found.folded:
            told.append(("folded", _first(found.folded[name].name), Told()))
        else:
            attack, said = found.creates[name]
            assert attack is not None
            is_repeat = f"{one.alert_id}:note/5" in found.notes
            told.append(("repeat" if is_repeat else "first", _first(attack.name), said))
    return told


def _first(name: tuple[object, ...]) -> int:
    start = name[-1]
    assert isinstance(start, int)
    return start


@pytest.mark.parametrize("seed", range(40))
def test_the_oracle_and_the_code_agree_on_windows_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    close_after = chance.choice([0, 300, 600])
    options = RepeatOptions(Deduplicate.EPISODE, chance.choice([0, 60, 120]), close_after)
    starts: list[int] = []
    now = chance.randrange(10**9)
    for _ in range(150):
        now += chance.choice([1] * 20 + [2, 30, 59, 60, 61, 299, 300, 301, 302, 900])
        starts.append(now)
    # Windows fire out of order, and some come twice.
    spread = chance.choice([0, 5, 400])
    order = sorted(
        [*starts, *chance.sample(starts, 20)], key=lambda start: start + chance.randint(0, spread)
    )
    rows = [fired(start) for start in order]
    choice = Choice(episodes=True, repeat=options.repeat_seconds, close_after=close_after)
    found = result(choice, *rows)
    assert decided(rows, options) == read(found, rows)
