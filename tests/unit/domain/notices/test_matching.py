"""Which triggers match a notice: each filter with each operator, and a naive oracle."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.alerts.alert import decode_alert, encode_alert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.catalog.conditions import CONDITIONS
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.notices.alerts import triggered_alerts
from stream_app.domain.notices.filter_fields import FILTER_READERS
from stream_app.domain.notices.incoming import IncomingNotice, Origin, notice_decoder
from stream_app.domain.notices.matching import (
    CONDITION_OF_KIND,
    ConditionMatcher,
    NoticeTriggerIndex,
)
from stream_app.domain.notices.subscriptions import KNOWN_KINDS
from tests.unit.domain.trigger_tables import OF_NOTICES

ACME = Client(
    1111,
    "Acme Retail",
    "EU",
    {7: "Shop", 8: "Blog", 9: "Blog", 12: "404", 13: " Old shop ", 14: " "},
)
ORIGIN = Origin("events.account", 3, 17, 2, 1767225600000)
KINDS = (
    "ip_blocked",
    "api_structure_changed",
    "api_comparison_result",
    "compromised_logins",
    "create_user",
)
KIND_OF = {condition: kind for kind, condition in CONDITION_OF_KIND.items()}
BLOCKED, CHANGED, ROGUE, LOGINS, USER = KIND_OF


def trigger(template_id: str, *filters: Filter, **changes: Any) -> Trigger:
    found = Trigger(
        id=61,
        client_id=1111,
        name="",
        template_id=template_id,
        enabled=True,
        filters=filters,
        threshold=None,
        integration_ids=(521,),
        enabled_at=0,
    )
    return msgspec.structs.replace(found, **changes)


def incoming(condition: str, **details: Any) -> IncomingNotice:
    return IncomingNotice("x", {"notification_type": KIND_OF[condition], **details})


def matched(notice: IncomingNotice, *triggers: Trigger, client_id: int = 1111) -> list[int]:
    index = NoticeTriggerIndex({1111: ACME, 2222: Client(2222, "", "EU", {})}, triggers)
    return [one.id for one in index.matching(client_id, notice)]


def holds(
    condition: str,
    filter_id: str,
    operator: Literal["eq", "ne"],
    values: tuple[str | int, ...],
    details: dict[str, Any],
) -> bool:
    one = trigger(condition, Filter(filter_id, operator, values))
    return matched(incoming(condition, **details), one) == [61]


#: Condition, filter, its values, the notice's details, and whether these have one of the values.
ROWS: list[tuple[str, str, tuple[str | int, ...], dict[str, Any], bool]] = [
    (BLOCKED, "pool", (7,), {"application_id": 7}, True),
    (BLOCKED, "pool", (7,), {"application_id": "7"}, True),
    (BLOCKED, "pool", (7, 8), {"application_id": [3, 8]}, True),
    (BLOCKED, "pool", (7,), {"application_id": 8}, False),
    (BLOCKED, "pool", (7,), {"application_id": True, "poolid": 7}, True),
    (BLOCKED, "pool", (1,), {"application_id": True}, False),
    (BLOCKED, "pool", (-1,), {"poolid": -1}, True),
    (BLOCKED, "pool", (7,), {"application": "Shop"}, True),
    (BLOCKED, "pool", (7,), {"application": "shop"}, False),
    (BLOCKED, "pool", (13,), {"application": "Old shop"}, True),
    (BLOCKED, "pool", (13,), {"application": " Old shop "}, True),
    (BLOCKED, "pool", (14,), {"application": True}, False),
    (BLOCKED, "pool", (9,), {"application": "Blog"}, True),
    (BLOCKED, "pool", (7,), {"application": "Nobody's"}, False),
    (BLOCKED, "pool", (12,), {"application": "404"}, True),
    (BLOCKED, "pool", (404,), {"application": "404"}, False),
    (BLOCKED, "pool", (15,), {"application": "15"}, True),
    (BLOCKED, "pool", (-1,), {"application": "default"}, True),
    (BLOCKED, "pool", (7,), {"applications": ["default", "Shop"]}, True),
    (BLOCKED, "pool", (7,), {"application_id": 8, "application": "Shop"}, False),
    (BLOCKED, "pool", (7,), {"application": {"id": 7}}, False),
    (BLOCKED, "pool", (7,), {}, False),
    (CHANGED, "pool", (7,), {"application": "Shop"}, True),
    (CHANGED, "domain", ("shop.acme.example",), {"domain": "Shop.Acme.Example "}, True),
    (CHANGED, "domain", ("shop.acme.example",), {"host": "shop.acme.example"}, True),
    (CHANGED, "domain", ("a.example",), {"domain": "b.example", "host": "a.example"}, False),
    (CHANGED, "domain", ("a.example",), {"domain": ["b.example", "a.example"]}, True),
    (CHANGED, "domain", ("a.example",), {"url": "https://a.example/"}, False),
    (CHANGED, "domain", ("a.example",), {"domain": None}, False),
    (CHANGED, "change_type", ("added",), {"change_type": "Added"}, True),
    (CHANGED, "change_type", ("excluded",), {"change_type": "unused"}, True),
    (CHANGED, "change_type", ("excluded",), {"change_type": "excluded"}, True),
    (CHANGED, "change_type", ("unused",), {"change_type": "excluded"}, True),
    (CHANGED, "change_type", ("added", "changed"), {"change_type": "unused"}, False),
    (CHANGED, "change_type", ("added",), {"change_type": 1}, False),
    (CHANGED, "pii", ("CVV",), {"parameters": [{"name": "c", "class": "cvv"}]}, True),
    (CHANGED, "pii", ("credit_card_number",), {"pii": ["Credit card number"]}, True),
    (CHANGED, "pii", ("email",), {"sensitive_data": "email"}, True),
    (CHANGED, "pii", ("email",), {"parameters": [1, {}, {"class": ["x", "email"]}]}, True),
    (CHANGED, "pii", ("email",), {"parameters": [{"class": "x"}], "pii": ["email"]}, True),
    (CHANGED, "pii", ("email",), {"parameters": [{"name": "email"}]}, False),
    (CHANGED, "pii", ("email",), {"parameters": {"class": None}}, False),
    (ROGUE, "pool", (-1,), {"application": "default"}, True),
    (ROGUE, "domain", ("a.example",), {"api_host": "a.example"}, True),
    (ROGUE, "deviation_type", ("shadow", "zombie"), {"type_of_endpoint": "Zombie"}, True),
    (ROGUE, "deviation_type", ("shadow",), {"type_of_endpoint": "orphan"}, False),
    (ROGUE, "api_spec_ids", (15,), {"specification_id": 15}, True),
    (ROGUE, "api_spec_ids", (15,), {"specification": {"id": "15"}}, True),
    (ROGUE, "api_spec_ids", (15, 16), {"api_spec_id": [16]}, True),
    (ROGUE, "api_spec_ids", (15,), {"specification": "15"}, False),
    (ROGUE, "api_spec_ids", (15,), {"specification_name": "Shop-v2"}, False),
    (LOGINS, "pool", (8,), {"application_id": 8}, True),
    (LOGINS, "domain", ("localhost",), {"url": "localhost/login"}, True),
    (LOGINS, "domain", ("localhost",), {"URL": "https://bo@LocalHost:8443/login?x"}, True),
    (LOGINS, "domain", ("a.example",), {"url": "a.example/login?next=https://b.example/"}, True),
    (LOGINS, "domain", ("a.example",), {"url": "a.example//login"}, True),
    (LOGINS, "domain", ("a.example",), {"url": "a.example:8443//login"}, True),
    (LOGINS, "domain", ("a.example",), {"url": "//a.example/login"}, True),
    (LOGINS, "domain", ("b.example",), {"url": "a.example/?next=https://b.example/"}, False),
    (LOGINS, "domain", ("localhost",), {"host": "a.example", "url": "localhost/"}, False),
    (LOGINS, "domain", ("localhost",), {"url": "http://[::1/login"}, False),
    (LOGINS, "response_status", (404,), {"response_status": 404}, True),
    (LOGINS, "response_status", (404,), {"statuscode": "404"}, True),
    (LOGINS, "response_status", ("4xx",), {"response_status": 404}, True),
    (LOGINS, "response_status", ("4xx", 504), {"response_status": [200, 504]}, True),
    (LOGINS, "response_status", ("4xx",), {"response_status": "4XX"}, True),
    (LOGINS, "response_status", (404,), {"response_status": "4xx"}, False),
    (LOGINS, "response_status", ("5xx",), {"response_status": 404}, False),
    (LOGINS, "response_status", (404,), {"response_status": "404 Not Found"}, False),
    (USER, "role", ("analytic",), {"user": {"role": "Analyst"}}, True),
    (USER, "role", ("analytic",), {"user": {"role": "ANALYTIC"}}, True),
    (USER, "role", ("analytic",), {"role": "analyst"}, True),
    (USER, "role", ("Administrator",), {"user": {"role": "admin"}}, True),
    (USER, "role", ("admin",), {"user": {"role": "deploy"}, "role": "admin"}, False),
    (USER, "role", ("admin",), {"user": "admin"}, False),
]


@pytest.mark.parametrize(("condition", "filter_id", "values", "details", "is_given"), ROWS)
def test_eq_holds_when_one_of_the_values_is_given_and_ne_when_none_is(
    condition: str,
    filter_id: str,
    values: tuple[str | int, ...],
    details: dict[str, Any],
    *,
    is_given: bool,
) -> None:
    assert holds(condition, filter_id, "eq", values, details) is is_given
    assert holds(condition, filter_id, "ne", values, details) is not is_given


def test_the_rows_cover_every_filter_both_ways() -> None:
    every = {(condition, name) for condition, fields in FILTER_READERS.items() for name in fields}
    assert {(row[0], row[1]) for row in ROWS} == every
    shared = {(BLOCKED, "pool"), (CHANGED, "domain"), (LOGINS, "domain")}
    assert {(row[0], row[1]) for row in ROWS if not row[4]} >= shared
    assert {row[1] for row in ROWS if not row[4]} == {row[1] for row in ROWS}


@pytest.mark.parametrize("condition", FILTER_READERS)
def test_a_missing_field_fails_eq_and_passes_ne(condition: str) -> None:
    for name in FILTER_READERS[condition]:
        assert not holds(condition, name, "eq", ("1",) if name != "response_status" else (1,), {})
        assert holds(condition, name, "ne", ("1",) if name != "response_status" else (1,), {})


def test_all_filters_must_hold_and_those_without_values_are_none() -> None:
    shop, added = Filter("pool", "eq", (7,)), Filter("change_type", "eq", ("added",))
    one = trigger(CHANGED, shop, added, Filter("domain", "eq", ()))
    assert matched(incoming(CHANGED, application_id=7, change_type="added"), one) == [61]
    assert matched(incoming(CHANGED, application_id=8, change_type="added"), one) == []
    assert matched(incoming(CHANGED, application_id=7, change_type="changed"), one) == []


def test_a_filter_of_a_later_version_fails_eq_and_passes_ne() -> None:
    for operator, found in (("eq", []), ("ne", [61])):
        one = trigger(BLOCKED, Filter("asn", operator, (64496,)))  # type: ignore[arg-type]
        assert matched(incoming(BLOCKED, asn=64496), one) == found


def test_conditions_kinds_and_filters_are_those_of_the_catalog() -> None:
    assert tuple(CONDITION_OF_KIND) == KINDS
    assert set(CONDITION_OF_KIND) <= KNOWN_KINDS
    for condition, fields in FILTER_READERS.items():
        assert CONDITIONS[condition].filters == tuple(fields)
    assert FILTER_READERS.keys() == set(OF_NOTICES)


@pytest.mark.parametrize(("kind", "condition"), CONDITION_OF_KIND.items())
def test_a_notice_is_matched_with_the_triggers_of_its_condition_only(
    kind: str, condition: str
) -> None:
    every = [trigger(name, id=number) for number, name in enumerate(FILTER_READERS, 1)]
    expected = list(FILTER_READERS).index(condition) + 1
    assert matched(IncomingNotice("x", {"notification_type": kind}), *every) == [expected]


def test_disabled_triggers_other_clients_and_other_conditions_are_left_out() -> None:
    triggers = [
        trigger(USER, id=9),
        trigger(USER, id=3),
        trigger(USER, id=4, enabled=False),
        trigger(USER, id=5, client_id=2222),
        trigger(USER, id=6, client_id=3333),
        trigger(BLOCKED, id=7),
        trigger("incidents_exceeded", id=8),
    ]
    assert matched(incoming(USER), *triggers) == [3, 9]
    assert matched(incoming(USER), *triggers, client_id=2222) == [5]
    assert matched(incoming(USER), *triggers, client_id=3333) == []
    assert matched(IncomingNotice("x", {"notification_type": "delete_user"}), *triggers) == []


def test_triggers_of_other_clients_and_conditions_cost_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = []
    refusals = ConditionMatcher.refusals

    def noted(one: ConditionMatcher, notice: IncomingNotice) -> Any:
        for trigger, found in refusals(one, notice):
            looked_at.append(trigger.id)
            yield trigger, found

    others = [trigger(USER, id=n, client_id=2222) for n in range(2, 3000)]
    others += [trigger(BLOCKED, id=n) for n in range(3000, 6000)]
    index = NoticeTriggerIndex(
        {1111: ACME, 2222: Client(2222, "", "EU", {})}, [trigger(USER, id=1), *others]
    )
    monkeypatch.setattr(ConditionMatcher, "refusals", noted)
    assert [one.id for one in index.matching(1111, incoming(USER))] == [1]
    assert looked_at == [1]


# -- a naive oracle with tables of its own, which takes one filter at a time

APPLICATIONS = st.sampled_from([7, 8, 9, -1, 99])
HOSTS = st.sampled_from(["a.example", "b.example"])
SAID: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "pool": st.builds(lambda n: {"application_id": n}, st.lists(APPLICATIONS, max_size=2)),
    "domain": st.builds(lambda h: {"domain": h}, HOSTS),
    "change_type": st.builds(
        lambda t: {"change_type": t}, st.sampled_from(["added", "changed", "unused", "excluded"])
    ),
    "pii": st.builds(lambda p: {"pii": p}, st.lists(st.sampled_from(["email", "cvv", "iban"]))),
    "deviation_type": st.builds(
        lambda t: {"type_of_endpoint": t}, st.sampled_from(["shadow", "zombie", "orphan"])
    ),
    "api_spec_ids": st.builds(lambda n: {"specification_id": n}, st.integers(1, 3)),
    "response_status": st.builds(
        lambda s: {"response_status": s}, st.sampled_from([200, 404, 403, 503])
    ),
    "role": st.builds(lambda r: {"user": {"role": r}}, st.sampled_from(["admin", "Analyst"])),
}
WANTED: dict[str, st.SearchStrategy[Any]] = {
    "pool": APPLICATIONS,
    "domain": HOSTS,
    "change_type": st.sampled_from(["added", "changed", "excluded"]),
    "pii": st.sampled_from(["email", "CVV", "IBAN"]),
    "deviation_type": st.sampled_from(["shadow", "zombie", "orphan"]),
    "api_spec_ids": st.integers(1, 3),
    "response_status": st.sampled_from([200, 404, "4xx", "5xx"]),
    "role": st.sampled_from(["admin", "analytic"]),
}
KEYS = {
    "pool": "application_id",
    "domain": "domain",
    "change_type": "change_type",
    "pii": "pii",
    "deviation_type": "type_of_endpoint",
    "api_spec_ids": "specification_id",
    "response_status": "response_status",
}
SAME = {"Analyst": "analytic", "unused": "excluded", "CVV": "cvv", "IBAN": "iban"}


def is_same(said: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and wanted.endswith("xx"):
        return str(said)[0] == wanted[0]
    return bool(SAME.get(said, said) == SAME.get(wanted, wanted))


def oracle(one: Trigger, details: dict[str, Any]) -> bool:
    for item in one.filters:
        if not item.values:
            continue
        said = details.get(KEYS.get(item.id, ""), [])
        if item.id == "role":
            said = details.get("user", {}).get("role", [])
        said = said if isinstance(said, list) else [said]
        found = any(is_same(value, wanted) for value in said for wanted in item.values)
        if found != (item.operator == "eq"):
            return False
    return True


@st.composite
def situations(draw: st.DrawFn) -> tuple[str, dict[str, Any], list[Trigger]]:
    condition = draw(st.sampled_from(list(FILTER_READERS)))
    names = list(FILTER_READERS[condition])
    details: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        details |= draw(SAID[name])
    filters = st.sampled_from(names).flatmap(
        lambda name: st.builds(
            Filter,
            st.just(name),
            st.sampled_from(["eq", "ne"]),
            st.lists(WANTED[name], max_size=3).map(tuple),
        )
    )
    lists = draw(st.lists(st.lists(filters, max_size=4), max_size=6))
    return condition, details, [trigger(condition, *f, id=n) for n, f in enumerate(lists, 1)]


@given(situations())
def test_the_matcher_agrees_with_a_naive_oracle(
    situation: tuple[str, dict[str, Any], list[Trigger]],
) -> None:
    condition, details, triggers = situation
    expected = [one.id for one in triggers if oracle(one, details)]
    assert matched(incoming(condition, **details), *triggers) == expected


# -- whatever a producer sends

NAMES = [
    "application_id",
    "poolid",
    "application",
    "applications",
    "domain",
    "api_host",
    "host",
    "url",
    "URL",
    "change_type",
    "parameters",
    "pii",
    "sensitive_data",
    "type_of_endpoint",
    "specification_id",
    "specification",
    "api_spec_id",
    "user",
    "role",
    "created_by",
    "response_status",
    "statuscode",
    "ip",
    "reason",
    "expire_at",
    "endpoint_path",
    "http_method",
    "link",
    "compromised_accounts",
    "accounts",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["4xx", "Shop", "-1", "٤٠٤", "http://[", "admin", "unused", "{endpoint}"])
)
INNER = st.sampled_from(["id", "name", "email", "role", "class"])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER, inner, max_size=3),
    max_leaves=6,
)


@given(
    condition=st.sampled_from(list(FILTER_READERS)),
    details=st.dictionaries(st.sampled_from(NAMES), ANYTHING),
    description=st.none() | st.text(),
)
def test_no_notice_makes_anything_but_an_alert_with_a_text(
    condition: str, details: dict[str, Any], description: str | None
) -> None:
    body = {"summary": "x", "details": details | {"notification_type": KIND_OF[condition]}}
    ((_, _, notice),) = notice_decoder.parts(
        json.dumps(body | {"description": description}).encode()
    )
    every = [trigger(condition)]
    every += [trigger(condition, Filter(name, "ne", (1,))) for name in FILTER_READERS[condition]]
    every += [trigger(condition, Filter(name, "eq", (1,))) for name in FILTER_READERS[condition]]
    index = NoticeTriggerIndex({1111: ACME}, every)
    found = triggered_alerts(notice, ORIGIN, ACME, index.matching(1111, notice))
    # The trigger without a filter, and for each filter either `eq` or `ne`.
    assert len(found) == 1 + len(FILTER_READERS[condition])
    for alert in found:
        assert decode_alert(encode_alert(alert)) == alert
        assert render_notice(alert).description
