from __future__ import annotations

import msgspec

from stream_app.domain.reports.delivery_history import grouped
from tests.unit.domain.reports.test_alert_history import ACCEPTED, FAILED


def test_equal_attempts_in_a_row_are_one_group() -> None:
    refused = [
        msgspec.structs.replace(FAILED, attempt=n, status=401, reason="unauthorized")
        for n in (2, 3, 4)
    ]
    again = msgspec.structs.replace(FAILED, attempt=5)
    accepted = msgspec.structs.replace(ACCEPTED, attempt=6)
    found = grouped([FAILED, *refused, again, accepted])
    assert [(one.first.attempt, one.last.attempt, one.count) for one in found] == [
        (1, 1, 1),
        (2, 4, 3),
        (5, 5, 1),
        (6, 6, 1),
    ]


def test_the_attempts_of_a_redrive_are_a_group_of_their_own() -> None:
    redriven = msgspec.structs.replace(FAILED, redrives=1)
    assert [one.last.redrives for one in grouped([FAILED, redriven])] == [0, 1]
    assert grouped([]) == []
