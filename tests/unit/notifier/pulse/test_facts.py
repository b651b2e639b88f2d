"""What a group tells about the pulse."""

from __future__ import annotations

from stream_app.domain.pulse.note import PulseReason, PulseStop
from stream_app.kafka.cluster.groups import GroupView, Member
from stream_app.kafka.engine.app import CLIENT_ID
from stream_app.notifier.pulse.facts import PulseFacts, group_stops

PARTITIONS = {"hits": 2, "counts": 3}


def member(client_id: str = f"{CLIENT_ID}-detector", **partitions: int) -> Member:
    return Member("m", client_id, "10.0.0.1", partitions)


def stops(*members: Member) -> dict[str, str]:
    found = group_stops("detector", GroupView("g", "Stable", members, {}), PARTITIONS)
    return {stop.reason: stop.why for stop in found}


def test_workers_that_share_all_partitions_stop_nothing() -> None:
    assert stops(member(hits=1, counts=1), member(hits=1, counts=2)) == {}


def test_a_group_without_workers_stops_it() -> None:
    assert stops() == {"no_worker": "no detector is running"}


def test_partitions_that_no_worker_has_stop_it() -> None:
    assert stops(member(hits=2, counts=1)) == {
        "unassigned": "no detector has partitions of counts (2 of 3)"
    }
    # While a group rebalances, its members have none.
    assert "hits (2 of 2), counts (3 of 3)" in stops(member())["unassigned"]


def test_a_worker_of_a_version_that_does_not_know_the_pulse_stops_it() -> None:
    found = stops(member(hits=2), member("faust-0.15.3", counts=3))
    assert found == {
        "older_worker": "a detector on 10.0.0.1 is of a version that does not know the pulse"
    }


def test_no_event_is_sent_that_would_be_refused_or_come_nowhere() -> None:
    may_send = {
        reason for reason in PulseReason if PulseFacts([PulseStop(reason, "")], {}).may_send
    }
    assert set(PulseReason) - may_send == {
        PulseReason.NO_WORKER, PulseReason.OLDER_WORKER, PulseReason.NOT_READ,
    }  # fmt: skip
