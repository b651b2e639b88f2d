"""An integration whose newest requests all fail is found by a message's third failed try."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from stream_app.domain.reports.failed_runs import FailedRuns, RequestOutcome
from tests.unit.valid_records import RESULTS

FAILED, ACCEPTED = "unauthorized", "accepted"


def runs_of(*rows: tuple[int, str], epoch: int = 7, is_sent: bool = True) -> FailedRuns:
    """Return the runs of one integration's requests, given by attempt and reason."""
    runs, at_ms = FailedRuns(), count(1000)
    for attempt, reason in rows:
        outcome = RequestOutcome(521, reason == ACCEPTED, reason, attempt, epoch, is_sent)
        runs.add(outcome, next(at_ms))
    return runs


def test_the_third_failed_try_tells_and_any_success_ends_it() -> None:
    rows = [(1, ACCEPTED), (1, "timeout"), (2, FAILED), (3, FAILED)]
    assert runs_of(*rows[:3]).of(521, 7) is None
    run = runs_of(*rows).of(521, 7)
    assert run is not None
    assert (run.requests, run.since_ms, run.reason) == (3, 1001, FAILED)
    assert runs_of(*rows, (1, ACCEPTED)).of(521, 7) is None
    assert runs_of(*rows).of(522, 7) is None


@pytest.mark.parametrize(
    "rows",
    [
        [(1, FAILED)] * 50,  # a burst that met a moment's outage
        [(1, FAILED), (2, FAILED), (1, ACCEPTED), (3, FAILED), (4, FAILED)],  # others get through
    ],
)
def test_what_may_be_a_moments_fault_is_not_reported(rows: list[tuple[int, str]]) -> None:
    assert runs_of(*rows).of(521, 7) is None


def test_requests_before_the_enabling_and_those_not_made_do_not_count() -> None:
    rows = [(number, FAILED) for number in (1, 2, 3, 4)]
    assert runs_of(*rows).of(521, 8) is None
    assert runs_of(*rows, is_sent=False).of(521, 7) is None
    runs = runs_of(*rows)
    runs.add(RequestOutcome(521, accepted=False, reason=FAILED, attempt=1, epoch=8), 2000)
    assert runs.of(521, 7) is None, "it began anew"
    runs.add(RequestOutcome(521, accepted=False, reason=FAILED, attempt=9, epoch=7), 2001)
    runs.add(RequestOutcome(521, accepted=False, reason=FAILED, attempt=9, epoch=7), 2002)
    assert runs.of(521, 7) is None, "late results of the earlier epoch"


def test_an_outcome_is_a_part_of_an_attempts_record_and_of_no_other() -> None:
    decoder = msgspec.json.Decoder(RequestOutcome)
    attempt, *others, _ = RESULTS
    outcome = decoder.decode(attempt)
    assert (outcome.integration_id, outcome.accepted, outcome.attempt) == (521, False, 1)
    for other in others:
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(other)
