"""The closed list of metrics: names, labels, and that all of it is there from the start."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from stream_app.domain.counting.tally import EventResult
from stream_app.domain.delivery.reasons import (
    AttemptReason,
    IntegrationType,
    LocalReason,
    RouteResult,
)
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.model import EventKind
from stream_app.domain.notices.incoming import NoticeResult
from stream_app.domain.topics import ROLE_SOURCES, Role
from stream_app.metrics import Metrics

#: Metric -> the closed list that its last label must have all of.
CLOSED: dict[str, type[StrEnum]] = {
    "stream_app_events_total": EventResult,
    "stream_app_notices_total": NoticeResult,
    "stream_app_routed_alerts_total": RouteResult,
    "stream_app_dead_letters_total": DeadLetterReason,
    "stream_app_request_status_total": CheckOutcome,
    "stream_app_late_events_total": EventKind,
    "stream_app_alert_to_accepted_seconds": IntegrationType,
}
LABELS = {"kind", "result", "topic", "reason", "integration_type", "outcome", "version", "part"}
ROLES: tuple[Role | None, ...] = (None, "detector", "notifier")


def series(metrics: Metrics) -> dict[str, set[tuple[str, ...]]]:
    """Return what a scrape shows at the start: base name -> the values of its labels."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_created"):  # a worker leaves them out
                continue
            name = re.sub(r"_(bucket|count|sum)$", "", sample.name)
            labels = {key: text for key, text in sample.labels.items() if key != "le"}
            found.setdefault(name, set()).add(tuple(labels.values()))
    return {name: rows for name, rows in found.items() if name.startswith("stream_app_")}


@pytest.mark.parametrize("role", ROLES)
def test_a_scrape_shows_every_combination_of_labels_before_anything_happens(
    role: Role | None,
) -> None:
    metrics = Metrics(role)
    shown = [row for row in metrics.rows if role is None or row.role in (None, role)]
    assert series(metrics) == {row.name: set(row.combinations) for row in shown if row.is_known}
    assert all(row.combinations for row in shown)


def test_an_unknown_value_is_absent_and_not_0() -> None:
    metrics = Metrics()
    unknown = {row.name for row in metrics.rows if not row.is_known}
    gauges = {row.name for row in metrics.rows if row.kind == "gauge"}
    known = {f"stream_app_{name}" for name in ("build_info", "ready", "broker_connected")}
    assert unknown == gauges - known
    sample = metrics.registry.get_sample_value
    lag, label = metrics.consumer_lag.labels("alerts"), {"topic": "alerts"}
    for value in (7, 0, None, 3):
        lag.set(value)
        assert sample("stream_app_consumer_lag_records", label) == value
    metrics.windows_open.set_function(lambda: None)
    assert sample("stream_app_windows_open") is None
    metrics.windows_open.set_function(lambda: 0)
    assert sample("stream_app_windows_open") == 0


def test_the_label_values_are_the_closed_lists_of_the_domain() -> None:
    rows = {row.name: row for row in Metrics().rows}
    for name, closed in CLOSED.items():
        assert {row[-1] for row in rows[name].combinations} == set(closed), name
    attempts = set(rows["stream_app_delivery_attempts_total"].combinations)
    made = {(kind, reason) for kind in IntegrationType for reason in AttemptReason}
    not_made = {*LocalReason, AttemptReason.LOCAL_ERROR}
    assert attempts == made | {("unknown", reason) for reason in not_made}
    finished = {row[1] for row in rows["stream_app_deliveries_total"].combinations}
    assert finished == set(DeliveryStatus) - {"pending", "waiting"}


def test_each_role_shows_its_own_topics() -> None:
    for role, sources in ROLE_SOURCES.items():
        rows = {row.name: row for row in Metrics(role).rows}
        lag = rows["stream_app_consumer_lag_records"].combinations
        assert {topic for (topic,) in lag} == set(sources)
        refused = {topic for topic, _ in rows["stream_app_dead_letters_total"].combinations}
        assert refused <= set(sources)


def test_no_metric_has_an_id_as_label_and_each_names_its_unit() -> None:
    for row in Metrics().rows:
        assert set(row.labels) <= LABELS, row.name
        assert (row.kind == "counter") == row.name.endswith("_total"), row.name
        assert row.kind != "histogram" or row.name.endswith("_seconds"), row.name
        assert len(row.help) < 160, row.name


def test_no_metric_of_faust_itself_is_shown() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert {name for name in names if not name.startswith(("stream_app_", "process_"))} == set()
