"""A notice is explained as the workers match it: for each integration and each trigger."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_app.detector.notice_replay import NoticeReplay
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Filter
from stream_app.domain.explanation.event_verdicts import TriggerResult
from stream_app.domain.explanation.notice_verdicts import NoticeExplainer, NoticeVerdict
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.view import Configuration
from tests.unit.domain.notices.test_matching import ACME, CHANGED, USER, trigger

OTHER = Client(2222, "Other", "EU", {})
INTEGRATIONS = [
    Integration(521, 1111, "Both", True, "opsgenie", "", "", ("system", "rules_and_triggers")),
    Integration(522, 1111, "Off", False, "opsgenie", "", "", ("system",)),
    Integration(523, 2222, "Other's", True, "opsgenie", "", "", ("system",)),
    Integration(524, 1111, "Rules", True, "opsgenie", "", "", ("rules_and_triggers",)),
]
TRIGGERS = [
    trigger(USER, id=61),
    trigger(USER, Filter("role", "eq", ("admin",)), id=62),
    trigger(CHANGED, Filter("domain", "ne", ("a.example",)), id=63),
    trigger(CHANGED, id=64, enabled=False),
    trigger(USER, id=65, client_id=2222),
    trigger("hits_exceeded", id=66),
]


def record(*rows: Any) -> Any:
    value = json.dumps(rows[0] if len(rows) == 1 else rows).encode()
    return SimpleNamespace(
        partition=1, offset=7, timestamp=5000, key=b"1111", value=value, headers=()
    )


def notice(kind: str, client_id: int | None = 1111, **details: Any) -> dict[str, Any]:
    return {
        "summary": "x",
        "client_id": client_id,
        "details": {"notification_type": kind, **details},
    }


def explained(one: Any) -> list[NoticeVerdict]:
    explainer = NoticeExplainer({1111: ACME, 2222: OTHER}, TRIGGERS, INTEGRATIONS)
    return list(explainer.verdicts(one))


def test_each_integration_and_each_trigger_says_why() -> None:
    (verdict,) = explained(record(notice("create_user", user={"role": "analyst"})))
    assert (verdict.reason, verdict.subscription) == ("matched", "system")
    assert {one.integration.id: one.why for one in verdict.integrations} == {
        521: "",
        522: "is off",
        524: "has not selected system",
    }
    assert {one.trigger.id: one.result.value for one in verdict.triggers} == {
        61: "matched",
        62: "refused",
        63: "other_kind",
        64: "other_kind",
        66: "other_kind",
    }
    (refusal,) = verdict.triggers[1].refusals
    assert str(refusal) == "role eq admin: the notice has analytic"


def test_the_end_of_an_integration_is_not_told_to_itself() -> None:
    ended = notice("integration_broken", integration={"id": 521})
    (verdict,) = explained(record(ended))
    assert verdict.integrations[0].why == "is the one that the notice is about"


def test_a_kind_that_only_triggers_send_says_so() -> None:
    (verdict,) = explained(record(notice("api_structure_changed", domain="a.example")))
    assert verdict.reason == "unsubscribed"
    assert verdict.integrations[0].why == (
        "no integration can select api_structure_changed: only triggers send it"
    )
    found = {one.trigger.id: one.result for one in verdict.triggers}
    assert (found[63], found[64]) == (TriggerResult.REFUSED, TriggerResult.DISABLED)


def test_what_is_no_notice_is_explained_by_its_reason() -> None:
    rows = [notice("create_user", client_id=5), {"summary": 1}, notice("made_up"), notice("vuln")]
    assert [(one.index, one.reason, one.is_dead_letter) for one in explained(record(*rows))] == [
        (0, "unknown_client", True),
        (1, "wrong_type", True),
        (2, "unknown_kind", False),
        (3, "wrong_type", True),
    ]


notices = st.builds(
    notice,
    st.sampled_from(["create_user", "api_structure_changed", "trigger_update", "made_up", "vuln"]),
    st.sampled_from([1111, 2222, 5, None]),
    domain=st.sampled_from(["a.example", "b.example", None]),
    user=st.sampled_from([None, {"role": "admin"}, {"role": "analyst"}]),
)


@given(st.lists(notices, min_size=1, max_size=4))
def test_a_notice_has_the_alerts_that_the_worker_makes(rows: list[dict[str, Any]]) -> None:
    one = record(*rows)
    configuration = Configuration()
    configuration.clients = {1111: ACME, 2222: OTHER}
    configuration.integrations = {item.id: item for item in INTEGRATIONS}
    configuration.triggers = {item.id: item for item in TRIGGERS}
    configuration.version += 1
    replay = NoticeReplay(configuration, TopicNames())
    replay.replay(1, [one])
    sent = {alert.id for alert, _ in replay.alerts()}

    expected, ids = set[str](), set[str]()
    for verdict in explained(one):
        ids |= set(verdict.alert_ids.values())
        if any(not entry.why for entry in verdict.integrations):
            expected.add(verdict.alert_ids[None])
        expected |= {
            verdict.alert_ids[row.trigger.id]
            for row in verdict.triggers
            if row.result is TriggerResult.MATCHED
        }
    assert expected == sent
    assert sent <= ids
