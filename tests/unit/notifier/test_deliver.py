"""The order of what `deliver` writes, and what it schedules and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest
from structlog.testing import capture_logs

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import decode_status
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import (
    Checked,
    Delivery,
    Result,
    decode_delivery,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from stream_app.notifier.deliver import DeliverStage
from stream_app.notifier.operator_integration.notices import OperatorNotices
from tests.unit.stages import take
from tests.unit.tables import fake_table

NOW_MS = 1_767_225_600_000
TOPICS = ("p.deliveries", "p.delivery-results")
DELIVERY = Delivery("a/521", "a", 1111, 521, "Title", "Text", {})
RECORD = encode_delivery(DELIVERY)


class RecordingSender:
    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, int]] = {}
        self.held: dict[int, int] = {}

    def hold(self, integration_id: int, until_ms: int) -> None:
        self.held[integration_id] = until_ms

    def clear(self) -> None:
        self.waiting.clear()

    def schedule(self, partition: int, state: DeliveryState) -> None:
        self.waiting[state.id] = (partition, state.attempt)

    def forget(self, delivery_id: str) -> None:
        self.waiting.pop(delivery_id, None)


class SwitchGate:
    def __init__(self) -> None:
        self.open = False
        self.closed_for: list[int] = []
        self.try_open: Callable[[], bool] = lambda: True

    def close(self, partitions: Iterable[int], try_open: Callable[[], bool]) -> None:
        self.closed_for, self.try_open = list(partitions), try_open

    def is_open(self, _partition: int, _progress: int) -> bool:
        return self.open


class RecordingReconciler:
    def __init__(self) -> None:
        self.seen: list[set[int]] = []
        self.checks_of_all = 0

    def check(self, integration_ids: Iterable[int]) -> None:
        self.seen.append(set(integration_ids))

    def check_all(self) -> None:
        self.checks_of_all += 1


class Bench:
    def __init__(self) -> None:
        self.states: dict[int, PartitionDeliveries] = {}
        self.rules = DeliveryRules()
        self.sender, self.gate, self.metrics = RecordingSender(), SwitchGate(), Metrics()
        self.reconciler, self.configuration = RecordingReconciler(), Configuration()
        self.offsets = dict.fromkeys(TOPICS, 0)
        self.is_known = True
        table = fake_table(
            self.state,
            states=self.states,
            known_states=lambda: self.states.values() if self.is_known else None,
            on_restored=[],
        )
        self.stage = DeliverStage(
            table,
            self.sender,
            self.gate,
            self.reconciler,
            self.configuration,
            TopicNames("p."),
            self.metrics,
            lambda: NOW_MS + 9000,
            operator=OperatorNotices(900, self.configuration, TopicNames("p.")),
        )
        self.restored: Callable[[], None] = table.on_restored[0]

    def state(self, partition: int) -> PartitionDeliveries:
        return self.states.setdefault(partition, PartitionDeliveries(TOPICS, self.rules))

    def add(
        self,
        topic: str,
        value: bytes | None,
        partition: int = 2,
        headers: tuple[tuple[str, bytes], ...] = (),
        timestamp: int = NOW_MS,
    ) -> None:
        self.offsets[topic] += 1
        record = SimpleNamespace(
            offset=self.offsets[topic],
            timestamp=timestamp,
            key=b"521",
            value=value,
            headers=headers,
        )
        take(self.stage, topic, partition, [record])

    def result(self, attempt: int, *, accepted: bool = False, status: int = 500) -> None:
        reason = "accepted" if accepted else "server_error"
        value = Result(
            "a/521", 1111, 521, "opsgenie", attempt, accepted, reason, "HTTP 500", NOW_MS, 0.1,
            status,
        )  # fmt: skip
        self.add(TOPICS[1], encode_result(value))

    def flush(self, *, confirm: bool = True) -> list[list[Send]]:
        flush = self.stage.cut()
        steps = [list(step) for step in flush.steps()]
        if confirm:
            flush.confirm()
        return steps

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stream_app_{name}", labels)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_delivery_is_scheduled_only_once_its_state_is_acknowledged(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    dead_letters, states, progress = bench.flush(confirm=False)
    assert bench.sender.waiting == {}
    assert dead_letters == []
    assert [(send.key, send.partition) for send in states] == [(b"a/521", 2)]
    assert [(send.key, send.value) for send in progress] == [(b"progress", b"[1,-1]")]
    assert {send.topic for send in [*states, *progress]} == {"changelog"}
    bench = Bench()
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


def test_the_dead_letter_comes_before_the_state_that_gives_up(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for attempt in range(1, 18):
        bench.result(attempt)
    with capture_logs() as logs:
        (dead, status), (notice,), (state, *_), progress = bench.flush()
    assert (dead.topic, dead.key, dead.value) == ("p.deliveries.dlq", b"521", RECORD)
    headers = dict(dead.headers)
    assert headers["x-error-reason"] == b"exhausted"
    assert headers["x-original-offset"] == b"1"
    assert headers["x-error-message"] == b"17 attempts failed, the last one: HTTP 500"
    assert orjson.loads(state.value or b"")[0] == "given_up"
    assert progress[0].value == b"[1,17]"
    assert bench.sender.waiting == {}
    assert bench.sample(
        "deliveries_total", integration_type="opsgenie", outcome="given_up"
    ) == bench.sample("dead_letters_total", topic="deliveries", reason="exhausted")
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("delivery_retry_scheduled", "warning"),
        *[("delivery_retry_scheduled", "debug")] * 15,
        ("delivery_given_up", "error"),
        ("integration_disabled", "error"),
    ]
    # All 17 requests have failed, so there is a verdict, too, before the state that remembers it.
    assert (status.topic, status.key) == ("p.status.integrations", b"521")
    found = decode_status(status.value or b"")
    assert (found.disabled, found.failed, found.total) == (True, 17, 17)
    assert (notice.topic, notice.key) == ("p.events.account", b"1111")
    assert orjson.loads(notice.value or b"")["details"]["notification_type"] == "integration_broken"
    assert bench.sample("integration_auto_disables_total") == 1


def recipient(number: int, client_id: int = 1111, *events: str) -> Integration:
    return Integration(number, client_id, f"I{number}", True, "opsgenie", "", "", events)


def breaking(bench: Bench, *numbers: int) -> None:
    """Give a delivery up for each of these integrations, in one flush."""
    for number in numbers:
        one = msgspec.structs.replace(DELIVERY, id=f"a/{number}", integration_id=number)
        bench.add(TOPICS[0], encode_delivery(one))
        for attempt in range(1, 18):
            found = Result(
                one.id, 1111, number, "opsgenie", attempt, False, "unauthorized", "", NOW_MS, 0.1,
                401,
            )  # fmt: skip
            bench.add(TOPICS[1], encode_result(found))


def test_who_is_told_finds_the_integration_disabled_and_its_dead_letters(bench: Bench) -> None:
    bench.configuration.integrations = {
        521: recipient(521, 1111, "system"),
        522: recipient(522, 1111, "system"),
        523: recipient(523, 1111, "rules_and_triggers"),
        524: recipient(524, 2222, "system"),
        900: recipient(900, 9),
    }
    breaking(bench, 521)
    first, told, states, _ = bench.flush(confirm=False)
    assert [send.topic for send in first] == ["p.deliveries.dlq", "p.status.integrations"]
    assert decode_status(first[1].value or b"").told == (522,)
    assert [(s.topic, s.key) for s in told] == [
        ("p.events.account", b"1111"),
        ("p.deliveries", b"900"),
    ]
    assert {send.topic for send in states} == {"changelog"}
    again = Bench()
    again.configuration.integrations = bench.configuration.integrations
    breaking(again, 521)
    assert again.flush()[:2] == [first, told], "after a crash before the state: the same records"
    assert again.flush()[0] == []


def test_those_that_break_together_are_not_told_of_each_other(bench: Bench) -> None:
    bench.configuration.integrations = {
        number: recipient(number, 1111, "system") for number in (521, 522)
    }
    breaking(bench, 521, 522)
    first, _, *_ = bench.flush()
    statuses = [decode_status(s.value or b"") for s in first if s.topic == "p.status.integrations"]
    assert [(status.id, status.told) for status in statuses] == [(521, ()), (522, ())]


def test_a_storm_tells_the_platform_team_of_each_once_and_within_its_bounds(bench: Bench) -> None:
    numbers = range(1000, 1500)
    bench.configuration.integrations = {900: recipient(900, 9)}
    breaking(bench, *numbers)
    told = [send for send in bench.flush()[1] if send.topic == "p.deliveries"]
    assert len({decode_delivery(send.value or b"").id for send in told}) == 500
    bench.rules = DeliveryRules(max_pending=100)
    for send in [*told, *told]:
        bench.add(TOPICS[0], send.value, partition=3)
    dead = [send for send in bench.flush()[0] if send.topic == "p.deliveries.dlq"]
    assert [dict(send.headers)["x-error-reason"] for send in dead] == [b"overflow"] * 400
    assert len(bench.states[3].pending) == 100


def test_a_broken_operator_integration_is_not_told_of_itself(bench: Bench) -> None:
    bench.configuration.integrations = {900: recipient(900, 1111)}
    breaking(bench, 900)
    assert [send.topic for send in bench.flush()[1]] == ["p.events.account"]


def test_a_verdict_turns_other_pending_deliveries_into_dead_letters(bench: Bench) -> None:
    other = msgspec.structs.replace(DELIVERY, id="b/521", alert_id="b")
    foreign = msgspec.structs.replace(DELIVERY, id="c/7", alert_id="c", integration_id=7)
    for delivery in (DELIVERY, other, foreign):
        bench.add(TOPICS[0], encode_delivery(delivery))
    for attempt in range(1, 18):
        bench.result(attempt)
    dead = [send for send in bench.flush()[0] if send.topic == "p.deliveries.dlq"]
    assert [dict(send.headers)["x-error-reason"] for send in dead] == [
        b"exhausted",
        b"integration_disabled",
    ]
    assert dead[1].value == encode_delivery(other)
    assert list(bench.sender.waiting) == ["c/7"]
    assert (
        bench.sample("dead_letters_total", topic="deliveries", reason="integration_disabled") == 1
    )


def test_a_command_cancels_the_pending_deliveries_of_its_integration(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.reconciler.seen == [{521}]
    command = bench.state(2).cancel_command(521, DeadLetterReason.INTEGRATION_DELETED)
    assert command is not None
    bench.add(TOPICS[1], encode_result(command))
    (dead,), *_ = bench.flush()
    assert dict(dead.headers)["x-error-reason"] == b"integration_deleted"
    assert dict(dead.headers)["x-attempt"] == b"1"
    assert bench.sender.waiting == {}
    assert bench.reconciler.seen == [{521}, set()]


def test_an_integration_that_stays_off_is_logged_now_and_then_and_counted_each_time(
    bench: Bench,
) -> None:
    """Its triggers go on firing, for weeks perhaps: a line for each alert would bury the others."""
    with capture_logs() as logs:
        for number in range(3):
            one = msgspec.structs.replace(DELIVERY, id=f"{number}/521")
            bench.add(TOPICS[0], encode_delivery(one))
            bench.flush()
            command = bench.state(2).cancel_command(521, DeadLetterReason.INTEGRATION_DISABLED)
            assert command is not None
            bench.add(TOPICS[1], encode_result(command))
            bench.flush()
    assert [line["event"] for line in logs].count("deliveries_cancelled") == 1
    labels = {"topic": "deliveries", "reason": "integration_disabled"}
    assert bench.sample("dead_letters_total", **labels) == 3


def test_one_delivery_too_many_is_a_dead_letter_with_one_notice(bench: Bench) -> None:
    bench.rules = DeliveryRules(max_pending=2)
    for number in range(4):
        one = msgspec.structs.replace(DELIVERY, id=f"{number}/521")
        bench.add(TOPICS[0], encode_delivery(one))
    first, second, notice = bench.flush()[0]
    for dead in (first, second):
        assert dict(dead.headers)["x-error-reason"] == b"overflow"
    assert notice.topic == "p.events.account"
    kind = orjson.loads(notice.value or b"")["details"]["notification_type"]
    assert kind == "deliveries_overflowed"
    assert sorted(bench.sender.waiting) == ["0/521", "1/521"]
    bench.add(TOPICS[0], encode_delivery(msgspec.structs.replace(DELIVERY, id="9/521")))
    assert [send.topic for send in bench.flush()[0]] == ["p.deliveries.dlq"], "told once an hour"


def test_a_delivery_that_our_own_faults_delay_too_long_is_a_dead_letter(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for age_ms in (0, 7 * 3_600_000):
        fault = Result("a/521", 1111, 521, "opsgenie", 1, False, "local_error", "no handle", 0, 0.0)
        fault = msgspec.structs.replace(fault, is_sent=False)
        bench.add(TOPICS[1], encode_result(fault), timestamp=NOW_MS + age_ms)
    (dead,), _, _ = bench.flush()
    headers = dict(dead.headers)
    assert (dead.value, headers["x-error-reason"]) == (RECORD, b"stale")
    assert headers["x-error-message"] == (
        b"no request could be made until the alert was too old: no handle"
    )


def test_a_given_up_delivery_that_comes_back_is_sent_anew(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for attempt in range(1, 18):
        bench.result(attempt)
    bench.flush()
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.sender.waiting == {}, "the same record once more"
    bench.add(TOPICS[0], RECORD, headers=(("x-attempt", b"2"),))
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


def test_a_pause_goes_on_after_a_restart(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.result(1, status=429)
    bench.flush()
    bench.sender.held.clear()
    bench.restored()
    assert bench.sender.held == {521: NOW_MS + 60_000}


def test_a_pause_that_is_unread_at_a_restart_begins_with_its_result(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.restored()
    bench.gate.open = True
    bench.result(1, status=429)
    bench.flush()
    assert bench.sender.held == {521: NOW_MS + 60_000}


def test_a_state_that_is_only_rewritten_is_not_scheduled_again(bench: Bench) -> None:
    """Its attempt may have been made already, with a result that is not read yet."""
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.sender.waiting.clear()
    bench.states[2].rewrite()
    bench.add(TOPICS[0], encode_delivery(msgspec.structs.replace(DELIVERY, id="b/521")))
    _, states, _ = bench.flush()
    assert sorted(send.key or b"" for send in states) == [b"a/521", b"b/521"]
    assert bench.sender.waiting == {"b/521": (2, 1)}


def test_a_state_that_is_no_longer_the_newest_is_not_scheduled(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    flush = bench.stage.cut()
    list(map(list, flush.steps()))
    bench.result(1, accepted=True)
    flush.confirm()
    assert bench.sender.waiting == {}


def test_a_result_of_an_older_target_is_not_judged(bench: Bench) -> None:
    newer = Integration(521, 1111, "On-call", True, "opsgenie", "", "", (), epoch=9)
    bench.configuration.integrations = {521: newer}
    bench.add(TOPICS[0], RECORD)
    for attempt in range(1, 18):
        bench.result(attempt)
    dead_letters, _, _ = bench.flush()
    assert [send.topic for send in dead_letters] == ["p.deliveries.dlq"], "no verdict"
    assert bench.states[2].judge.judged_epochs == {}


def test_an_id_that_is_a_reserved_key_of_the_changelog_is_refused(bench: Bench) -> None:
    bench.add(TOPICS[0], encode_delivery(msgspec.structs.replace(DELIVERY, id="judge|x")))
    (dead,), _ = bench.flush()  # no state
    assert dict(dead.headers)["x-error-reason"] == b"wrong_type"


def test_a_delivery_whose_state_fits_no_record_is_refused(bench: Bench) -> None:
    large = encode_delivery(msgspec.structs.replace(DELIVERY, description="x" * 900_000))
    bench.add(TOPICS[0], large)
    (dead,), _ = bench.flush()  # no state
    assert dict(dead.headers)["x-error-reason"] == b"too_large"


def test_the_epoch_of_a_redrive_is_that_of_its_header(bench: Bench) -> None:
    headers = (("x-attempt", b"2"), ("x-epoch", b"1767225600000"))
    bench.add(TOPICS[0], RECORD, headers=headers)
    (state,) = bench.states[2].pending.values()
    assert (state.redrives, state.epoch) == (1, 1_767_225_600_000)


def test_a_result_schedules_the_next_attempt_or_ends_the_delivery(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.result(1)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 2)}
    assert bench.sample("pending_deliveries") == 1
    assert bench.sample("delivery_oldest_pending_seconds") == 9
    bench.result(2, accepted=True)
    bench.flush()
    assert bench.sender.waiting == {}
    assert bench.sample("deliveries_total", integration_type="opsgenie", outcome="sent") == 1
    assert bench.sample("pending_deliveries") == 0
    assert bench.sample("delivery_oldest_pending_seconds") == 0
    bench.is_known = False  # the state is read
    assert bench.sample("pending_deliveries") is None
    assert bench.sample("delivery_oldest_pending_seconds") is None


def test_after_a_rebalance_nothing_is_sent_before_earlier_results_are_read(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.restored()
    assert bench.sender.waiting == {}
    assert bench.gate.closed_for == [2]
    assert not bench.gate.try_open()
    bench.result(1)
    bench.flush()
    assert bench.sender.waiting == {}
    bench.gate.open = True
    assert bench.gate.try_open()
    assert bench.sender.waiting == {"a/521": (2, 2)}


def test_the_flush_that_reads_the_last_earlier_result_opens_its_partition(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.restored()
    bench.result(1)
    bench.gate.open = True
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 2)}


def test_partitions_without_pending_deliveries_are_not_held(bench: Bench) -> None:
    bench.state(2)
    bench.restored()
    assert bench.gate.closed_for == []
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"{", b"undecodable"), (None, b"undecodable"), (b'{"id":1}', b"wrong_type")],
)
def test_a_bad_delivery_is_a_dead_letter(bench: Bench, value: bytes | None, reason: bytes) -> None:
    bench.add(TOPICS[0], value)
    bench.add(TOPICS[0], RECORD)
    (dead,), states, _ = bench.flush()
    assert (dead.value, dict(dead.headers)["x-error-reason"]) == (value, reason)
    assert len(states) == 1
    assert bench.sample("dead_letters_total", topic="deliveries", reason=reason.decode()) == 1


def test_a_bad_result_is_passed_over(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for value in (None, b"{", b'{"type":"later"}'):
        bench.add(TOPICS[1], value)
    dead_letters, _, progress = bench.flush()
    assert dead_letters == []
    assert progress[0].value == b"[1,3]"


def test_no_log_line_of_a_delivery_holds_its_text(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.result(1)
    bench.result(2, accepted=True)
    with capture_logs() as logs:
        bench.flush()
    assert [line["event"] for line in logs] == ["delivery_retry_scheduled", "delivery_sent"]
    assert {line["delivery_id"] for line in logs} == {"a/521"}
    said: Any = repr(logs)
    assert "Title" not in said
    assert "Text" not in said


@pytest.mark.parametrize("outcome", CheckOutcome)
def test_what_a_check_finds_changes_no_delivery(bench: Bench, outcome: CheckOutcome) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.result(1, accepted=True)
    bench.flush()
    checked = Checked("a/521", 1111, 521, "opsgenie", "r", outcome, "Alert does not exist", NOW_MS)
    with capture_logs() as logs:
        bench.add(TOPICS[1], encode_result(checked))
        dead_letters, progress = bench.flush()  # no state
    assert (dead_letters, bench.sender.waiting, logs) == ([], {}, [])
    assert [send.value for send in progress] == [b"[1,2]"]


def test_a_record_of_a_newer_version_is_a_warning_only(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    with capture_logs() as logs:
        bench.add(TOPICS[1], b'{"type":"later"}')
    assert [line["event"] for line in logs] == ["delivery_result_unreadable"]
    bench.restored()
    bench.gate.open = True
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


@pytest.mark.parametrize(("headers", "seconds"), [((), 0.0), ((("x-alerted-ms", b"%d"),), 2.5)])
def test_the_time_to_acceptance_begins_with_the_alert(
    bench: Bench, headers: tuple[tuple[str, bytes], ...], seconds: float
) -> None:
    """If the alert's time is not known, as after a redrive, it begins with the delivery."""
    headers = tuple((name, value % (NOW_MS - 2500)) for name, value in headers)
    bench.add(TOPICS[0], RECORD, headers=headers)
    bench.flush()
    assert bench.sample("alert_to_accepted_seconds_count", integration_type="opsgenie") == 0
    bench.result(1, accepted=True)
    bench.flush()
    assert bench.sample("alert_to_accepted_seconds_count", integration_type="opsgenie") == 1
    assert bench.sample("alert_to_accepted_seconds_sum", integration_type="opsgenie") == seconds
