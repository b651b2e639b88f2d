"""Which deliveries count as those that nobody sends."""

from __future__ import annotations

import pytest

from stream_app.domain.pulse.attempts import AttemptWatch

MOST = 120_000


@pytest.fixture
def watch() -> AttemptWatch:
    return AttemptWatch()


def test_deliveries_that_are_due_and_get_no_attempt_stop_the_pulse(watch: AttemptWatch) -> None:
    assert watch.waiting({5: 0}, MOST - 1, MOST) == {}
    assert watch.waiting({5: 0}, MOST, MOST) == {
        5: "deliveries of integration 5 are due, and no request has ended for 120 s"
    }


def test_a_failing_integration_with_thousands_of_them_does_not(watch: AttemptWatch) -> None:
    watch.begin("a/5", 5, 1000)
    watch.end("a/5", 5, MOST)
    assert watch.waiting({5: 0}, 2 * MOST - 1, MOST) == {}
    assert 5 in watch.waiting({5: 0}, 2 * MOST, MOST)


def test_a_request_that_never_ends_does(watch: AttemptWatch) -> None:
    watch.begin("a/5", 5, 0)
    assert watch.waiting({}, MOST - 1, MOST) == {}
    assert 5 in watch.waiting({}, MOST, MOST)
    watch.end("a/5", 5, MOST)
    assert watch.waiting({}, 2 * MOST, MOST) == {}


def test_requests_that_this_machine_cannot_make_do_and_a_request_ends_it(
    watch: AttemptWatch,
) -> None:
    for at_ms in range(0, MOST + 1, MOST // 4):
        watch.begin("a/5", 5, at_ms)
        watch.end("a/5", 5, at_ms, "no file can be opened")
    assert watch.waiting({}, MOST, MOST) == {
        5: "no request to integration 5 can be made: no file can be opened"
    }
    watch.end("a/5", 5, MOST + 1)
    assert watch.waiting({}, MOST + 1, MOST) == {}


def test_a_fault_of_long_ago_does_not(watch: AttemptWatch) -> None:
    watch.end("a/5", 5, 0, "no route")
    watch.end("a/5", 5, MOST, "no route")
    assert watch.waiting({}, 2 * MOST, MOST) == {}
