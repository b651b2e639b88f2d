"""The event that each kind of notice belongs to, and the integrations that get it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.alerts.alert import NoticeAlert, decode_alert, encode_alert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import EVENTS, Integration
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.notices.alerts import notice_alert, triggered_alerts
from stream_app.domain.notices.incoming import IncomingNotice, Origin, check_kind, notice_decoder
from stream_app.domain.notices.subscriptions import KNOWN_KINDS, Subscribers, subscription_of
from tests.unit.domain.documented_notices import NOTICES

ACME = Client(1111, "Acme Retail", "EU", {})
ORIGIN = Origin("events.account", 3, 17, 2, 1767225600000)
BY_EVENT = {
    "system": (
        "create_user update_user delete_user disable_integration delete_integration "
        "integration_broken create_application update_application delete_application "
        "spec_update_failed deliveries_overflowed alerts_stale"
    ),
    "rules_and_triggers": (
        "rule_create rule_update rule_delete trigger_create trigger_update trigger_delete"
    ),
    None: (
        "ip_blocked api_structure_changed api_comparison_result compromised_logins "
        "attacks_exceeded incidents_exceeded new_scope_object_ips number_of_requests_per_hour "
        "new_hits"
    ),
}


def incoming(kind: str = "delete_user", **fields: Any) -> IncomingNotice:
    details = {"notification_type": kind} | fields.pop("details", {})
    return IncomingNotice(summary="x", details=details, **fields)


def integration(number: int, *events: str, client_id: int = 1111, active: bool = True) -> Any:
    return Integration(number, client_id, "", active, "opsgenie", "", "", events)


def subscribers(*integrations: Integration, clients: tuple[Client, ...] = (ACME,)) -> Subscribers:
    return Subscribers({client.client_id: client for client in clients}, integrations)


@pytest.mark.parametrize(
    ("kind", "event"),
    [(kind, event) for event, kinds in BY_EVENT.items() for kind in kinds.split()],
)
def test_each_kind_belongs_to_its_event(kind: str, event: str | None) -> None:
    assert kind in KNOWN_KINDS
    assert subscription_of(incoming(kind)) == event


def test_the_known_kinds_are_complete() -> None:
    listed = {kind for kinds in BY_EVENT.values() for kind in kinds.split()}
    assert KNOWN_KINDS - listed == {
        "security_issue",
        "vuln",
        "vuln_high",
        "vuln_medium",
        "vuln_low",
    }
    assert "user_renamed" not in KNOWN_KINDS


@pytest.mark.parametrize("risk", ["critical", "high", "medium", "low", "info"])
@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [("security_issue", "security_issue", "risk"), ("vuln", "vuln", "threat")],
)
def test_a_security_issue_belongs_to_the_event_of_its_risk(
    kind: str, body: str, name: str, risk: str
) -> None:
    event = subscription_of(incoming(kind, details={body: {name: risk.capitalize()}}))
    assert event == f"security_issue_{risk}"
    assert event in EVENTS


def test_an_older_kind_names_the_risk_that_its_notice_lacks() -> None:
    assert subscription_of(incoming("vuln_high")) == "security_issue_high"


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("vuln_high", {"vuln": {"threat": 3}}),
        ("vuln_high", {"vuln": {"risk": "huge", "threat": [1]}}),
        ("vuln_low", {"vuln": {"threat": "High"}}),
        ("vuln", {"vuln": {"risk": 3, "threat": "high"}}),
        ("security_issue", {"security_issue": {"risk": None, "threat": "high"}}),
        ("security_issue", {"security_issue": {"title": "x"}, "vuln": {"threat": "High"}}),
    ],
)
def test_the_first_value_that_is_a_risk_is_taken(kind: str, details: dict[str, Any]) -> None:
    assert subscription_of(incoming(kind, details=details)) == "security_issue_high"


@pytest.mark.parametrize(
    ("kind", "details", "said"),
    [
        ("security_issue", {}, "details.security_issue.risk: '': must be"),
        ("vuln", {}, "details.vuln.threat: '': must be"),
        ("vuln", {"vuln": {"threat": 3}}, "details.vuln.threat: '3': must be"),
        ("vuln", {"vuln": {"risk": "", "threat": 3}}, "details.vuln.threat: '3': must be"),
        ("vuln", {"security_issue": {"risk": "x"}}, "details.security_issue.risk: 'x': must be"),
        ("security_issue", {"vuln": {"risk": "x"}}, "details.vuln.risk: 'x': must be"),
    ],
)
def test_a_refusal_names_the_field_that_was_read(
    kind: str, details: dict[str, Any], said: str
) -> None:
    with pytest.raises(RejectedEventError) as error:
        subscription_of(incoming(kind, details=details))
    assert str(error.value).startswith(f"{said} one of critical, high, ")


@pytest.mark.parametrize("body", [None, 3, {}, {"risk": None}, {"risk": 3}, {"risk": "huge"}])
def test_an_issue_of_no_known_risk_is_refused_not_passed_over(body: object) -> None:
    with pytest.raises(RejectedEventError) as error:
        subscription_of(incoming("security_issue", details={"security_issue": body}))
    assert error.value.reason is DeadLetterReason.WRONG_TYPE


def test_the_active_subscribers_of_the_client_get_a_notice() -> None:
    found = subscribers(
        integration(524, "system"),
        integration(521, "system", "rules_and_triggers"),
        integration(522, "rules_and_triggers"),
        integration(523, "system", active=False),
        integration(525, "system", client_id=2222),
    )
    assert found.integration_ids(1111, "system", incoming()) == (521, 524)
    assert found.integration_ids(1111, "rules_and_triggers", incoming()) == (521, 522)
    assert found.integration_ids(1111, "security_issue_high", incoming()) == ()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("integration_broken", (522,)),
        ("disable_integration", (522,)),
        ("delete_integration", (522,)),
        ("deliveries_overflowed", (521, 522)),
    ],
)
def test_no_integration_is_told_of_its_own_end(kind: str, expected: tuple[int, ...]) -> None:
    found = subscribers(integration(521, "system"), integration(522, "system"))
    notice = incoming(kind, details={"integration": {"id": 521}})
    assert found.integration_ids(1111, "system", notice) == expected


def test_the_client_is_found_by_id_or_by_a_name_that_one_has() -> None:
    other = Client(2222, "Other", "EU", {})
    found = subscribers(clients=(ACME, other))
    assert found.client_of(incoming(client_id=2222, details={"client_name": ACME.name})) == other
    assert found.client_of(incoming(details={"client_name": ACME.name})) == ACME


@pytest.mark.parametrize(
    ("notice", "reason"),
    [
        (incoming(), DeadLetterReason.MISSING_CLIENT),
        (incoming(details={"client_name": 5}), DeadLetterReason.MISSING_CLIENT),
        (incoming(details={"client_name": "Nobody"}), DeadLetterReason.UNKNOWN_CLIENT),
        (incoming(client_id=9), DeadLetterReason.UNKNOWN_CLIENT),
    ],
)
def test_a_notice_of_nobody_is_refused(notice: IncomingNotice, reason: DeadLetterReason) -> None:
    with pytest.raises(RejectedEventError) as error:
        subscribers(clients=(ACME,)).client_of(notice)
    assert error.value.reason is reason


def test_a_name_that_two_clients_have_is_that_of_the_lower_id() -> None:
    twice = (Client(8, "Twice", "US", {}), Client(7, "Twice", "EU", {}))
    notice = incoming(details={"client_name": "Twice"})
    assert subscribers(clients=(ACME, *twice)).client_of(notice).client_id == 7


def alert_id(origin: Origin = ORIGIN, client: Client = ACME, **fields: Any) -> str:
    return notice_alert(incoming(**fields), origin, client, "system", (521,)).id


def test_an_id_depends_on_the_producers_id_or_else_on_the_place() -> None:
    # Open alerts at Opsgenie are known by it: an upgrade must not page for them again.
    assert alert_id(id="n/1") == "stream-app:1111:delete_user:7c664ac8ac8d4db66c53245a1d268b6b"
    elsewhere = msgspec.structs.replace(ORIGIN, offset=18, timestamp_ms=0)
    assert alert_id(elsewhere, id="n/1") == alert_id(id="n/1")
    assert alert_id(msgspec.structs.replace(ORIGIN, timestamp_ms=0)) == alert_id()
    places = [
        ORIGIN,
        elsewhere,
        msgspec.structs.replace(ORIGIN, partition=0),
        msgspec.structs.replace(ORIGIN, index=0),
    ]
    others = [
        alert_id(id="n/1"),
        alert_id(id="n/2"),
        alert_id(id="n/1", kind="create_user"),
        alert_id(id="n/1", client=Client(2222, "", "EU", {})),
    ]
    assert len({*map(alert_id, places), *others}) == 8


def test_the_alert_of_a_notice_comes_back_from_its_bytes() -> None:
    alert = notice_alert(incoming(details={"z": 1, "a": [1, None]}), ORIGIN, ACME, "system", (521,))
    assert decode_alert(encode_alert(alert)) == alert
    assert list(alert.notice.details) == ["notification_type", "z", "a"]
    assert alert.happened_at_seconds == 1767225600


def triggered(number: int = 61, **fields: Any) -> NoticeAlert:
    one = Trigger(
        number,
        1111,
        "New users",
        "user_created",
        enabled=True,
        filters=(Filter("pool", "ne", (7, 8)),),
        threshold=None,
        integration_ids=(523,),
        enabled_at=0,
    )
    shops = msgspec.structs.replace(ACME, applications={7: "Shop", 9: "Blog"})
    (found,) = triggered_alerts(incoming(**fields), ORIGIN, shops, [one])
    return found


def test_an_alert_of_a_trigger_has_the_same_id_of_its_own_in_every_version() -> None:
    found = triggered(kind="create_user", id="n/1")
    assert found.id == "stream-app:1111:create_user:ba3b0eb66b0d7b4ced9f9e793487c949"
    ids = {found.id, triggered(62, kind="create_user", id="n/1").id}
    ids |= {triggered(kind="create_user", id="n/2").id, triggered(kind="create_user").id}
    assert len({*ids, alert_id(kind="create_user", id="n/1")}) == 5


def test_the_alert_of_a_trigger_says_what_a_reader_needs_and_comes_back_from_its_bytes() -> None:
    found = triggered(kind="create_user", details={"application_id": 9})
    assert decode_alert(encode_alert(found)) == found
    record = json.loads(encode_alert(found))
    assert record["trigger"] == {
        "id": 61,
        "name": "New users",
        "template_id": "user_created",
        "revision": found.trigger.revision if found.trigger else "",
        "filters": [{"id": "pool", "operator": "ne", "values": [7, 8]}],
    }
    assert record["integration_ids"] == [523]
    assert record["applications"] == {"7": "Shop", "9": "Blog"}
    assert found.cause == {"notification_type": "create_user", "trigger_id": 61}


def test_an_alert_of_a_subscription_has_no_trigger_in_its_record() -> None:
    found = notice_alert(incoming(id="n/1"), ORIGIN, ACME, "system", (521,))
    record = (
        b'{"id":"stream-app:1111:delete_user:7c664ac8ac8d4db66c53245a1d268b6b","client_id":1111,'
        b'"client_name":"Acme Retail","cloud":"EU","notice":{"kind":"delete_user",'
        b'"subscription":"system","summary":"x","description":"","details":'
        b'{"notification_type":"delete_user"},"appended_ms":1767225600000},"integration_ids":[521]}'
    )
    assert encode_alert(found) == record
    assert decode_alert(record) == found


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"{", "undecodable"),
        (b"[1]", "wrong_type"),
        (b'{"details": {}}', "wrong_type"),
        (b'{"summary": 1, "details": {}}', "wrong_type"),
        (b'{"summary": "", "details": {}, "client_id": "1"}', "wrong_type"),
        (b"[" * 2000, "undecodable"),
    ],
)
def test_a_record_that_is_no_notice_is_refused(value: bytes | None, reason: str) -> None:
    ((_, _, found),) = notice_decoder.parts(value)
    assert isinstance(found, Rejected)
    assert found.reason == reason


def test_a_notice_that_does_not_say_what_has_happened_is_refused() -> None:
    with pytest.raises(RejectedEventError, match="notification_type"):
        check_kind(IncomingNotice("x", {}))


def test_an_array_and_lines_are_taken_apart_and_each_part_has_its_place() -> None:
    lines = b"".join(json.dumps(body).encode() + b"\n" for body in NOTICES.values())
    array = json.dumps([*NOTICES.values(), 1]).encode()
    found = list(notice_decoder.parts(lines))
    assert [index for index, _, _ in found] == list(range(len(NOTICES)))
    *good, (index, part, bad) = notice_decoder.parts(array)
    assert [notice for _, _, notice in good] == [notice for _, _, notice in found]
    assert (index, part, bad.reason) == (len(NOTICES), b"1", "wrong_type")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PATHS = [(), ("summary",), ("details",), ("client_id",), ("id",), ("description",)]
PATHS += [("details", name) for name in ("notification_type", "security_issue", "integration", "x")]


@given(
    body=st.sampled_from(list(NOTICES.values())),
    changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON), max_size=3),
    cut=st.integers(0, 40),
    flip=st.integers(0, 400),
)
def test_no_mutated_notice_makes_anything_but_an_alert_or_a_refusal(
    body: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]], cut: int, flip: int
) -> None:
    notice: Any = json.loads(json.dumps(body))
    for path, value in changes:
        if not path:
            notice = [notice, value]
        elif isinstance(notice, dict):
            inner = notice if len(path) == 1 else notice.get(path[0])
            if isinstance(inner, dict):
                inner[path[-1]] = value
    raw = bytearray(json.dumps(notice).encode())
    if cut > 30:  # cut off, or one byte changed, now and then
        raw = raw[:-cut]
    elif cut > 20 and flip < len(raw):
        raw[flip] ^= 1 + cut
    found = subscribers(integration(521, *EVENTS))
    for _, _, part in notice_decoder.parts(bytes(raw)):
        if isinstance(part, Rejected):
            continue
        try:
            check_kind(part)
            client, event = found.client_of(part), subscription_of(part)
        except RejectedEventError:
            continue
        ids = found.integration_ids(client.client_id, event or "", part)
        alert = notice_alert(part, ORIGIN, client, event or "", ids)
        assert decode_alert(encode_alert(alert)) == alert
        assert render_notice(alert).title == part.summary
