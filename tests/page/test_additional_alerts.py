"""Section "Setting up additional alerts" of the page: triggers, and what they do not count."""

from __future__ import annotations

from typing import Any

from tests.page.tenant import NOW, Tenant, documented, messages, text
from tests.unit.domain.documented_notices import notice

DAY, HOUR, MINUTE = 86_400, 3_600, 60
API = {"endpoint_path": "/users", "http_method": "GET", "application": "Shop"}
CHANGE = notice(
    "[wallarm] A new endpoint has been discovered in your API",
    "api_structure_changed",
    **API,
    domain="shop.acme.example",
    change_type="added",
)
DENYLISTED = notice(
    "[Wallarm] Trigger: New IP address was denylisted",
    "ip_blocked",
    application="Shop",
    reason="Produces many attacks",
    expire_at="2026-01-01 02:27:15 +0300",
    ip="203.0.113.10",
)


def rogue(kind: str) -> dict[str, Any]:
    """Return the documented notice of a rogue API."""
    summary = f"[wallarm] A new {kind} endpoint has been discovered in your API"
    details = {**API, "api_host": "shop.acme.example", "type_of_endpoint": kind}
    return notice(summary, "api_comparison_result", **details)


def minute(time: int) -> int:
    """Return when the minute of a time began."""
    return time - time % MINUTE


def counted(tenant: Tenant, kind: str, ignored: dict[str, Any]) -> None:
    """Check that a mark keeps an event from being counted.

    An alert needs more than three events in a minute: three and many with the mark are not enough,
    and four in the next minute are.
    """
    trigger = tenant.trigger(f"{kind}_exceeded", exceeds=(3, MINUTE))
    tenant.apply(tenant.integration(), trigger)
    time = "request_time" if kind == "hits" else "first_time"
    tenant.send(kind, *[{}] * 3, *[ignored] * 10, *[{time: NOW + MINUTE}] * 4)
    (alert,) = tenant.told(1)
    assert f"time_from={minute(NOW + MINUTE)}&" in alert["description"]


def test_triggers_notify_besides_what_is_set_up_in_the_integration(tenant: Tenant) -> None:
    """Besides the notifications you have already set up through the integration card, \
Wallarm triggers allow you to select additional events for notifications:"""
    trigger = tenant.trigger("user_created", to=(1, 2))
    tenant.apply(tenant.integration(1, "system"), tenant.integration(2), trigger)
    tenant.notify(documented("create_user"), documented("delete_user"))
    added = "New user was added to the company account"
    triggered = f"[Wallarm] Trigger: {added}"
    assert messages(tenant.told(3)) == [
        f"[Wallarm] {added}",
        triggered,
        "[Wallarm] User was deleted",
    ]
    assert messages(tenant.told(1, place=2)) == [triggered]


def test_a_number_of_attacks_hits_or_incidents_per_interval_exceeds_the_set_one(
    tenant: Tenant,
) -> None:
    """Number of attacks, hits or incidents per time interval (day, hour, etc.) exceeds the set \
number"""
    kinds = {"attacks": DAY, "hits": HOUR, "incidents": MINUTE}
    tenant.apply(
        tenant.integration(),
        *(
            tenant.trigger(f"{kind}_exceeded", exceeds=(2, period), place=place)
            for place, (kind, period) in enumerate(kinds.items(), 1)
        ),
    )
    for kind, period in kinds.items():
        time = "request_time" if kind == "hits" else "first_time"
        # As many as the set number in the interval before, one more in this one.
        tenant.send(kind, *[{time: NOW - period}] * 2, *[{time: NOW}] * 3)
    told = tenant.told(3)
    assert messages(told) == [
        "[Wallarm] Trigger: The number of attacks exceeded the threshold",
        "[Wallarm] Trigger: The number of detected hits exceeded the threshold",
        "[Wallarm] Trigger: The number of incidents exceeded the threshold",
    ]
    said = "\n".join(map(text, told))
    for kind, unit in (("attacks", "day"), ("hits", "hour"), ("incidents", "minute")):
        assert f"The number of detected {kind} exceeded 2 in 1 {unit}.\n" in said
    for period in kinds.values():
        start = NOW - NOW % period
        assert f"time_from={start}&time_to={start + period}\n" in said


def test_experimental_attacks_are_not_counted(tenant: Tenant) -> None:
    """For attacks: The experimental attacks based on the custom regular expressions."""
    counted(tenant, "attacks", {"experimental": True})


def test_experimental_hits_are_not_counted(tenant: Tenant) -> None:
    """For hits: The experimental hits based on the custom regular expressions."""
    counted(tenant, "hits", {"experimental": True})


def test_hits_that_are_not_in_the_sample_are_not_counted(tenant: Tenant) -> None:
    """Hits not saved in the sample."""
    counted(tenant, "hits", {"sampled": False})


def test_changes_in_api_are_announced(tenant: Tenant) -> None:
    """Changes in API took place"""
    trigger = tenant.trigger("api_structure_changed")
    tenant.apply(tenant.integration(), trigger)
    tenant.notify(DENYLISTED, CHANGE)
    (alert,) = tenant.told(1)
    assert alert["message"] == "[wallarm] A new endpoint has been discovered in your API"
    assert "The new GET shop.acme.example/users endpoint has been" in alert["description"]


def test_a_denylisted_ip_address_is_announced(tenant: Tenant) -> None:
    """IP address was denylisted"""
    tenant.apply(tenant.integration(), tenant.trigger("blacklist_ip_added"))
    tenant.notify(CHANGE, DENYLISTED)
    (alert,) = tenant.told(1)
    assert alert["message"] == "[Wallarm] Trigger: New IP address was denylisted"
    assert "IP address 203.0.113.10 was denylisted until" in alert["description"]


def test_a_new_rogue_api_is_announced(tenant: Tenant) -> None:
    """New rogue API (shadow, zombie) was detected"""
    tenant.apply(tenant.integration(), tenant.trigger("rogue_api_detected"))
    tenant.notify(CHANGE, rogue("shadow"), rogue("zombie"))
    assert messages(tenant.told(2)) == [
        "[wallarm] A new shadow endpoint has been discovered in your API",
        "[wallarm] A new zombie endpoint has been discovered in your API",
    ]


def test_a_new_user_is_announced(tenant: Tenant) -> None:
    """New user was added to the company account"""
    tenant.apply(tenant.integration(), tenant.trigger("user_created"))
    tenant.notify(documented("delete_user"), documented("create_user"))
    (alert,) = tenant.told(1)
    assert alert["message"] == "[Wallarm] Trigger: New user was added to the company account"
    assert "A new user Ann Lee <ann@acme.example>" in alert["description"]


def test_a_condition_can_be_detailed_by_filters(tenant: Tenant) -> None:
    """For condition detailing, you can add one or more filters."""
    sqli, shop = ("attack_type", "eq", ["sqli"]), ("domain", "eq", ["shop.acme.example"])
    tenant.apply(
        tenant.integration(1),
        tenant.integration(2),
        tenant.trigger("attacks_exceeded", sqli, exceeds=(1, MINUTE), place=1, to=(1,)),
        tenant.trigger("attacks_exceeded", sqli, shop, exceeds=(1, MINUTE), place=2, to=(2,)),
    )
    at_shop = {"type": "sqli", "host": "shop.acme.example"}
    at_blog = at_shop | {"host": "blog.acme.example"}
    next_minute = {"first_time": NOW + MINUTE}
    tenant.send("attacks", at_shop, at_shop | {"type": "xss"}, at_blog)
    tenant.send("attacks", *[at_shop | next_minute] * 2)
    first, second = sorted(map(text, tenant.told(2)))
    (both,) = map(text, tenant.told(1, place=2))
    assert "clauses:\nAttack type: SQLi.\n\n" in first
    assert f"time_from={minute(NOW)}&" in first
    assert f"time_from={minute(NOW + MINUTE)}&" in second
    assert "clauses:\nAttack type: SQLi.\nDomain: shop.acme.example.\n\n" in both
    assert f"time_from={minute(NOW + MINUTE)}&" in both, "before, one attack passed both filters"


def test_an_alert_is_sent_through_the_selected_integration(tenant: Tenant) -> None:
    """As soon, as condition and filters are set, select the integration through which the \
selected alert should be sent."""
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, MINUTE), to=(2,))
    tenant.apply(tenant.integration(1), tenant.integration(2), trigger)
    tenant.send("incidents", {})
    tenant.told(1, place=2)
    assert tenant.told(0, place=1) == []


def test_several_integrations_can_be_selected(tenant: Tenant) -> None:
    """You can select several integrations simultaneously."""
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, MINUTE), to=(1, 3))
    tenant.apply(*map(tenant.integration, (1, 2, 3)), trigger)
    tenant.send("incidents", {})
    first, third = tenant.told(1, place=1), tenant.told(1, place=3)
    assert tenant.told(0, place=2) == []
    assert len(tenant.requests(1)) == len(tenant.requests(3)) == 1
    assert text(first[0]) == text(third[0])
