from __future__ import annotations

from stream_app.domain.delivery.status_checks import CheckSample
from stream_app.domain.times import HOUR_MS

NOW_MS = 1_767_225_600_000


def chosen(sample: CheckSample, number: int) -> set[int]:
    """Return which deliveries a sample chooses beside the first one of the hour."""
    sample.chooses("first/521", 521, NOW_MS)
    return {n for n in range(number) if sample.chooses(f"alert {n}/521", 521, NOW_MS)}


def test_the_share_is_taken_evenly_and_by_the_id_alone() -> None:
    taken = chosen(CheckSample(0.1), 5000)
    assert 400 < len(taken) < 600
    assert chosen(CheckSample(0.1), 5000) == taken
    assert taken < chosen(CheckSample(0.2), 5000)


def test_a_share_of_one_takes_all_and_one_of_zero_none() -> None:
    assert len(chosen(CheckSample(1), 100)) == 100
    nothing = CheckSample(0)
    assert not nothing.chooses("first/521", 521, NOW_MS)
    assert chosen(nothing, 100) == set()


def test_the_first_one_of_each_integration_and_hour_is_taken() -> None:
    sample = CheckSample(1e-12)
    times = [(521, 0), (521, 1), (522, 1), (522, 2), (521, HOUR_MS), (521, HOUR_MS + 1)]
    taken = [sample.chooses("x", number, NOW_MS + later) for number, later in times]
    assert taken == [True, False, True, False, True, False]
