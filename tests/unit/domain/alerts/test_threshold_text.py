"""The texts of alerts, compared with golden files; the first two are the documented examples."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from stream_app.domain.alerts.alert import Alert, fired_alert
from stream_app.domain.alerts.threshold_text import (
    CONSOLE_HOSTS,
    WORDINGS,
    period_text,
    render_alert,
    trigger_line,
)
from stream_app.domain.configuration.clients import CLOUDS, Client
from stream_app.domain.configuration.triggers import Filter, Threshold, Trigger
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.opsgenie.text import clean
from tests.unit.domain.trigger_tables import COUNTED

GOLDEN = Path(__file__).parent / "golden"
TEST_COMPANY = Client(1111, "TestCompany", "EU", {})
ACME = Client(2222, "Acme Retail", "EU", {-1: "default", 7: "Shop"})
NEW_YEAR = 1767225600


def fired(
    template_id: str,
    name: str,
    threshold: Threshold,
    *filters: Filter,
    client: Client = ACME,
    start: int = NEW_YEAR,
) -> Alert:
    trigger = Trigger(
        id=61,
        client_id=client.client_id,
        name=name,
        template_id=template_id,
        enabled=True,
        filters=filters,
        threshold=threshold,
        integration_ids=(521,),
        enabled_at=0,
    )
    return fired_alert(client, trigger, start)


INCIDENTS = fired(
    "incidents_exceeded",
    "Notification about incidents",
    Threshold(1, 1),
    Filter("target", "eq", ("server", "database")),
    client=TEST_COMPANY,
    start=NEW_YEAR + 61,
)
ALERTS = {
    "incidents": INCIDENTS,
    "hits": fired(
        "hits_exceeded",
        "Notification about SQLi hits",
        Threshold(1, 60),
        Filter("attack_type", "eq", ("sqli",)),
        client=TEST_COMPANY,
        start=NEW_YEAR + 60,
    ),
    "attacks": fired(
        "attacks_exceeded",
        "Attacks on the shop",
        Threshold(100, 3600),
        Filter("attack_type", "eq", ("sqli", "ptrav", "gql_docs_per_batch")),
        Filter("pool", "eq", (7, 8, -1)),
        Filter("ip_address", "eq", ("203.0.113.10", "2001:db8::1")),
        Filter("domain", "eq", ("shop.acme.example",)),
        Filter("response_status", "eq", (504, "5xx")),
        Filter("target", "eq", ("Server",)),
        client=msgspec.structs.replace(ACME, cloud="US"),
    ),
    "attacks_with_ne_filters": fired(
        "attacks_exceeded",
        "All but the scanner",
        Threshold(0, 60),
        Filter("target", "ne", ("client", "database")),
        Filter("attack_type", "ne", ("xss",)),
        Filter("ip_address", "eq", ("198.51.100.7",)),
        Filter("pool", "ne", (7,)),
    ),
    "hits_without_filters": fired(
        "hits_exceeded",
        "Busy day",
        Threshold(1000, 86400),
        client=msgspec.structs.replace(ACME, cloud="ME"),
    ),
}


@pytest.mark.parametrize("name", ALERTS)
def test_a_message_is_the_golden_file_byte_for_byte(name: str) -> None:
    message = render_alert(ALERTS[name])
    text = f"{message.title}\n\n{message.description}\n"
    assert text.encode() == (GOLDEN / f"{name}.txt").read_bytes()


def test_periods_are_named_in_the_largest_unit_that_divides_them() -> None:
    rows = (GOLDEN / "periods.txt").read_text().splitlines()
    periods = [int(row.partition(":")[0]) for row in rows]
    assert [f"{period}: {period_text(period)}" for period in periods] == rows


def test_the_title_is_one_line_and_the_description_begins_with_text() -> None:
    for alert in ALERTS.values():
        message = render_alert(alert)
        assert "\n" not in message.title
        assert message.description == message.description.strip()


def test_details_are_flat_strings_in_the_documented_order() -> None:
    assert list(render_alert(INCIDENTS).details.items()) == [
        ("client_name", "TestCompany"),
        ("cloud", "EU"),
        ("notification_type", "incidents_exceeded"),
        ("trigger_id", "61"),
        ("trigger_name", "Notification about incidents"),
        ("template_id", "incidents_exceeded"),
        ("threshold_count", "1"),
        ("threshold_period", "1"),
        ("time_from", "1767225661"),
        ("time_to", "1767225662"),
        (
            "link",
            "https://my.wallarm.com/attacks?q=incidents&time_from=1767225661&time_to=1767225662",
        ),
    ]


def test_hits_keep_the_documented_type_and_say_their_condition_in_the_details() -> None:
    details = render_alert(ALERTS["hits"]).details
    assert details["notification_type"] == "attacks_exceeded"
    assert details["template_id"] == "hits_exceeded"


def test_a_console_host_can_be_set_and_the_others_stay() -> None:
    hosts = {"EU": "console.acme.example"}
    for name, host in {
        "incidents": "console.acme.example",
        "attacks": "us1.my.wallarm.com",
    }.items():
        message = render_alert(ALERTS[name], console_hosts=hosts)
        assert f"\nhttps://{host}/attacks?q=" in message.description
        assert message.details["link"].startswith(f"https://{host}/attacks?q=")


def test_an_unknown_cloud_gets_a_link_all_the_same() -> None:
    alert = msgspec.structs.replace(INCIDENTS, cloud="UK")
    message = render_alert(alert)
    assert message.details["link"].startswith("https://my.wallarm.com/attacks?")
    assert message.description.endswith("\nCloud: UK")


def test_an_unknown_condition_is_a_dead_letter_that_names_it() -> None:
    trigger = msgspec.structs.replace(INCIDENTS.trigger, template_id="vector_attack")
    with pytest.raises(RejectedEventError, match="'vector_attack' has no text") as caught:
        render_alert(msgspec.structs.replace(INCIDENTS, trigger=trigger))
    assert caught.value.reason is DeadLetterReason.WRONG_TYPE


def test_a_filter_of_a_newer_version_is_shown_by_its_id() -> None:
    newer = fired("hits_exceeded", "Newer", Threshold(1, 1), Filter("asn", "eq", (64496,)))
    assert "clauses:\nasn: 64496.\n" in render_alert(newer).description


def test_every_counted_condition_has_a_text_and_every_cloud_a_console() -> None:
    assert WORDINGS.keys() == set(COUNTED)
    assert CONSOLE_HOSTS.keys() == set(CLOUDS)


def test_a_name_with_brackets_stays_readable() -> None:
    name = "Hits of <EU> & <b>more</b>"
    shown = trigger_line(name)
    assert "Hits of \u2039EU\u203a & \u2039b\u203amore\u2039/b\u203a" in shown
    assert clean(shown) == shown
