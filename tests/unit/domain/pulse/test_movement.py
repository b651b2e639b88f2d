"""Which partitions stand still."""

from __future__ import annotations

from stream_app.domain.pulse.movement import Movement

A, B = ("alerts", 0), ("alerts", 1)


def test_a_partition_stands_still_when_its_offset_stays_while_records_wait() -> None:
    found = Movement(120)
    assert found.stuck({A: (5, 9), B: (3, 3)}, 0) == {}
    assert found.stuck({A: (5, 10), B: (3, 3)}, 119) == {}
    assert found.stuck({A: (5, 11), B: (3, 4)}, 120) == {A: 5}
    assert found.stuck({A: (6, 12), B: (3, 4)}, 130) == {}
    assert found.stuck({A: (6, 12), B: (3, 4)}, 240) == {B: 3}


def test_one_that_had_nothing_for_long_has_its_time_from_the_first_record_on() -> None:
    found = Movement(120)
    found.stuck({A: (5, 6)}, 0)
    found.stuck({A: (6, 6)}, 100)
    found.stuck({A: (6, 6)}, 10_000)
    assert found.stuck({A: (6, 7)}, 10_060) == {}
    assert found.stuck({}, 10_070) == {}
    assert found.stuck({A: (6, 7)}, 10_185) == {}
