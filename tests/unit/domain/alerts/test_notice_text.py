"""The texts of notices, compared with golden files; `documented_notices` names the sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import NoticeAlert
from stream_app.domain.alerts.notice_sentences import SENTENCES
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.configuration.clients import Client
from stream_app.domain.notices.alerts import notice_alert
from stream_app.domain.notices.incoming import Origin, notice_decoder
from stream_app.domain.notices.subscriptions import SUBSCRIPTIONS
from tests.unit.domain.documented_notices import ISSUE, NOTICES, USER, notice

GOLDEN = Path(__file__).parent / "golden" / "notices"
ACME = Client(1111, "Acme Retail, as configured", "ME", {})
ORIGIN = Origin("events.account", 0, 17, 0, 1767225600000)
#: The documented description of the first example, with a last line break that ours does not have.
DOCUMENTED_ISSUE = (
    "Notification type: security_issue\n\nNew security issue was detected in your system.\n\n"
    "ID: 106279\nTitle: Reflected XSS\nHost: shop.acme.example\nPath: /search\nMethod: GET\n"
    "Discovered by: Passive Detect\nParameter: GET_q_value\nType: Cross-site scripting\n"
    "Risk: Medium\n\nMore details: https://us1.my.wallarm.com/object/106279\n\n\n"
    "Client: Acme Retail\nCloud: US\n"
)
DOCUMENTED_USER = (
    "[Wallarm] New user was added to the company account\n\nNotification type: create_user\n\n"
    "A new user Ann Lee <ann@acme.example> with the role Analyst was added to the company account "
    "by Bo Ray <bo@acme.example>.\n\nClient: Acme Retail\nCloud: EU"
)
DOCUMENTED_PERIMETER = (
    "[Test message] [Test partner] Network perimeter has changed\n\n"
    "Notification type: new_scope_object_ips\n\nNew IP addresses were discovered in the network "
    "perimeter:\n8.8.8.8\n\nClient: TestCompany\nCloud: EU"
)
DOCUMENTED_VULN = (
    "Notification type: vuln\n\nNew vulnerability was detected in your system.\n\nID: \n"
    "Title: Test\nDomain: example.com\nPath: \nMethod: \nDiscovered by: \nParameter: \nType: Info\n"
    "Threat: Medium\n\nMore details: https://us1.my.wallarm.com/object/555\n\n\n"
    "Client: TestCompany\nCloud: US\n"
)


def alert(body: dict[str, Any]) -> NoticeAlert:
    ((_, _, found),) = notice_decoder.parts(json.dumps(body).encode())
    return notice_alert(found, ORIGIN, ACME, "system", (521,))


def text(name: str) -> str:
    message = render_notice(alert(NOTICES[name]))
    return f"{message.title}\n\n{message.description}"


@pytest.mark.parametrize("name", NOTICES)
def test_the_text_is_that_of_the_file(name: str) -> None:
    assert text(name).encode() == (GOLDEN / f"{name}.txt").read_bytes()


def test_every_kind_that_can_be_subscribed_to_has_a_file_and_no_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(NOTICES)
    assert set(NOTICES) == {*SUBSCRIPTIONS, "security_issue", "vuln", "new_scope_object_ips"}
    assert SENTENCES.keys() == SUBSCRIPTIONS.keys()


def test_documented_texts_come_out_as_they_stand_in_the_documentation() -> None:
    assert text("security_issue").partition("\n\n")[2] + "\n" == DOCUMENTED_ISSUE
    assert text("vuln").partition("\n\n")[2] + "\n" == DOCUMENTED_VULN
    assert text("create_user") == DOCUMENTED_USER
    assert text("new_scope_object_ips") == DOCUMENTED_PERIMETER


def test_an_issue_that_a_scan_has_found_has_the_documented_lines_of_port_and_url() -> None:
    scanned = ISSUE | {"port": 443, "url": "https://shop.acme.example/"}
    body = notice("x", "security_issue", security_issue=scanned | {"path": None})
    lines = render_notice(alert(body)).description.split("\n")
    assert lines[6:11] == [
        "Host: shop.acme.example",
        "Path: ",
        "Port: 443",
        "URL: https://shop.acme.example/",
        "Method: GET",
    ]


OLDER_ISSUE = {"id": 5, "title": "T", "domain": "shop.example", "threat": "High"}
NEWER_ISSUE = {"id": 5, "title": "T", "host": "shop.example", "risk": "High"}


@pytest.mark.parametrize(
    ("kind", "details", "host", "risk"),
    [
        ("security_issue", {"security_issue": OLDER_ISSUE}, "Host", "Risk: High"),
        ("security_issue", {"vuln": OLDER_ISSUE}, "Host", "Risk: High"),
        ("vuln", {"vuln": NEWER_ISSUE}, "Domain", "Threat: High"),
        ("vuln_low", {"vuln": NEWER_ISSUE}, "Domain", "Threat: High"),
        ("vuln_low", {"vuln": OLDER_ISSUE | {"threat": 3}}, "Domain", "Threat: Low"),
        ("vuln_low", {"vuln": OLDER_ISSUE | {"threat": None}}, "Domain", "Threat: Low"),
    ],
)
def test_an_issue_under_newer_and_older_names_loses_neither_its_host_nor_its_risk(
    kind: str, details: dict[str, Any], host: str, risk: str
) -> None:
    lines = render_notice(alert(notice("x", kind, **details))).description.split("\n")
    assert {"ID: 5", "Title: T", f"{host}: shop.example", risk} < set(lines)


@pytest.mark.parametrize("kind", ["vuln_high", "security_issue"])
@pytest.mark.parametrize("body", ["vuln", "security_issue"])
def test_a_link_alone_is_no_issue_and_is_listed_as_a_fact(kind: str, body: str) -> None:
    found = render_notice(alert(notice("An issue", kind, **{f"{body}_link": "https://a.example"})))
    label = body.replace("_", " ").capitalize()
    assert found.description.split("\n")[2:5] == [
        "An issue.",
        "",
        f"{label} link: https://a.example",
    ]


@pytest.mark.parametrize(
    ("kind", "details", "sentence"),
    [
        ("update_user", {"user": {"name": "Ann"}}, ""),
        (
            "update_user",
            {"user": {"name": "Ann", "role": "deploy"}},
            "the user Ann was changed to ",
        ),
        ("delete_user", {"user": "ann@acme.example"}, "The user ann@acme.example was deleted "),
        ("delete_user", {"user": USER, "actor": {"name": "Bo"}}, "company account by Bo."),
        ("rule_update", {"rule": {"id": 9}}, "The rule (ID 9) was updated."),
        ("rule_update", {"rule": {"type": "vpatch"}}, ""),
        ("trigger_delete", {"trigger": {"name": "A"}}, 'The trigger "A" was deleted.'),
        ("update_application", {"application": {"name": "B"}}, ""),
        ("integration_broken", {"integration": {"id": 1}, "failed": 3}, "delivery errors."),
        ("spec_update_failed", {"specification": {"id": 1}}, "(ID 1) was not updated."),
        ("spec_update_failed", {"specification": {"id": 1}, "error": "Gone. "}, ": Gone.\n"),
        ("spec_update_failed", {"specification": {"id": 1}, "error": "Why?"}, "updated: Why?\n"),
        ("spec_update_failed", {"specification": {"id": 1}, "error": "gone"}, ": gone.\n"),
        ("spec_update_failed", {"error": "gone"}, ""),
        ("create_user", {"user": USER | {"role": "api_developer"}, "actor": "Bo"}, "API developer"),
        ("deliveries_overflowed", {}, ""),
        ("alerts_stale", {"max_age_seconds": 90.0}, "Alerts older than 90 seconds were not sent"),
        ("alerts_stale", {"max_age_seconds": "long"}, ""),
        ("alerts_stale", {"max_age_seconds": "9" * 5000}, ""),
    ],
)
def test_what_a_notice_lacks_is_left_out_and_without_its_subject_its_facts_are_listed(
    kind: str, details: dict[str, Any], sentence: str
) -> None:
    description = render_notice(alert(notice("[Wallarm] As it came", kind, **details))).description
    assert sentence in description
    assert ("As it came." in description) is not bool(sentence)


@pytest.mark.parametrize(
    "odd", ["9" * 5000, 10**4000, -1e308, "\x00\u202e", [], {}, [{"id": None}]]
)
@pytest.mark.parametrize("name", NOTICES)
def test_no_value_of_a_detail_ends_the_worker(name: str, odd: object) -> None:
    body = NOTICES[name]
    for field, value in body["details"].items():
        inner = [value | {part: odd} for part in value] if isinstance(value, dict) else []
        for wrong in (odd, *inner):
            changed = body | {"details": body["details"] | {field: wrong}}
            if field != "notification_type":
                assert render_notice(alert(changed)).description


def test_a_description_that_comes_with_the_notice_is_sent_as_it_is() -> None:
    body = NOTICES["security_issue"] | {"description": DOCUMENTED_ISSUE}
    assert render_notice(alert(body)).description == DOCUMENTED_ISSUE


def test_no_message_shows_the_credentials_of_a_specification_s_address() -> None:
    url = "https://ci:p@ss@acme.example:8443/openapi.json?by=a@b"
    specification = {"id": 15, "title": "Shop-v2", "uri": url}
    details: dict[str, Any] = {"specification": specification, "error": f"<{url}> is unavailable"}
    for more in ({}, {"description": f"{url} and {url}"}):
        body = notice(f"No {url}", "spec_update_failed", **details) | more
        found = render_notice(alert(body))
        whole = "\n".join([found.title, found.description, *found.details.values()])
        assert "https://acme.example:8443/openapi.json?by=a@b" in whole
        assert not [part for part in ("ci:", "p@ss", "ss@") if part in whole]


def test_details_are_flat_texts_without_nulls_and_begin_with_whose_and_what() -> None:
    details = render_notice(alert(NOTICES["vuln"])).details
    assert list(details.items()) == [
        ("client_name", "TestCompany"),
        ("cloud", "US"),
        ("notification_type", "vuln"),
        ("vuln_link", "https://us1.my.wallarm.com/object/555"),
        ("vuln_domain", "example.com"),
        ("vuln_title", "Test"),
        ("vuln_threat", "Medium"),
        ("vuln_type", "Info"),
    ]


def test_what_the_notice_does_not_say_of_its_client_is_taken_from_the_configuration() -> None:
    body = {"summary": "x", "client_id": 1111, "details": {"notification_type": "alerts_stale"}}
    message = render_notice(alert(body))
    assert message.description == (
        "Notification type: alerts_stale\n\nx.\n\nClient: Acme Retail, as configured\nCloud: ME"
    )
    assert message.details["client_name"] == "Acme Retail, as configured"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (notice("[Wallarm] A user", "create_user", user={"name": "Ann"}), "User name: Ann"),
        (notice("[Wallarm] An issue", "security_issue", risk="High"), "Risk: High"),
        (notice("[a] [b] What? ", "delete_user"), "What?"),
        (notice("[only a prefix]", "delete_user"), "[only a prefix]."),
    ],
)
def test_a_body_that_is_not_the_documented_one_has_the_consistent_form(
    body: dict[str, Any], line: str
) -> None:
    assert line in render_notice(alert(body)).description.split("\n")


def test_equal_alerts_give_equal_messages() -> None:
    found = alert(notice("x", "security_issue", security_issue=ISSUE))
    assert render_notice(found) == render_notice(msgspec.structs.replace(found))


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u200b\u2060", "\x00\n\t", "\ufeff \u3000"])
def test_a_description_of_nothing_that_can_be_seen_counts_as_none(blank: str) -> None:
    without = NOTICES["create_user"] | {"description": None}
    with_blank = without | {"description": blank}
    assert render_notice(alert(with_blank)) == render_notice(alert(without))
