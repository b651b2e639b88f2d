"""Notices with the triggers that match them, by the name of the golden file.

`DOCUMENTED` holds the texts as the product's pages show them; the comment of each names the page.
The other files are modelled on these, with clauses as in the documented text of incidents.
"""

from __future__ import annotations

from typing import Any

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Filter, Trigger
from tests.unit.domain.documented_notices import notice

CLIENT = Client(1111, "Acme Retail", "EU", {-1: "default", 7: "Shop", 8: "Blog"})
CONSOLE = "https://my.wallarm.com"
ISSUED = {"name": "John Smith", "email": "johnsmith@example.com", "role": "Analyst"}
ENDPOINT = {"endpoint_path": "/users", "http_method": "GET"}
API_LINK = f"{CONSOLE}/api-discovery?instance=1802&method=GET&q=example.com%2Fusers"
LOGINS_LINK = (
    f"{CONSOLE}/attacks/?q=attacks+d%3Alocalhost+u%3A%2Flogin+statuscode%3A404"
    "+application%3Adefault+credential_stuffing+2024%2F01%2F22"
)


def client_notice(name: str, kind: str, cloud: str = "EU", **details: Any) -> dict[str, Any]:
    """Return a notice about the client with this name."""
    found = notice("[wallarm] Summary of the notice", kind, cloud, **details)
    found["details"]["client_name"] = name
    return found


def trigger(template_id: str, name: str, *filters: Filter) -> Trigger:
    return Trigger(
        id=77,
        client_id=1111,
        name=name,
        template_id=template_id,
        enabled=True,
        filters=filters,
        threshold=None,
        integration_ids=(521,),
        enabled_at=0,
    )


NEW_USER = client_notice(
    "TestCompany",
    "create_user",
    user=ISSUED,
    created_by={"name": "John Doe", "email": "johndoe@example.com"},
)
DENYLISTED: dict[str, Any] = {
    "trigger_name": "Upstream",
    "reason": "Produces many attacks",
    "expire_at": "2026-01-01 02:27:15 +0300",
    "ip": "203.0.113.10",
}
NEW_ENDPOINT: dict[str, Any] = {
    "application": "Application 1802",
    "domain": "example.com",
    **ENDPOINT,
    "change_type": "added",
    "link": API_LINK,
}
SHADOW: dict[str, Any] = {
    "application": "Application-01",
    "api_host": "example.com",
    **ENDPOINT,
    "type_of_endpoint": "shadow",
    "link": API_LINK,
    "specification_name": "Specification-01",
}
LOGINS: dict[str, Any] = {
    "compromised_accounts": ["user-01@company.com"],
    "url": "localhost/login",
    "link": LOGINS_LINK,
}

CASES: dict[str, tuple[dict[str, Any], Trigger]] = {
    "user_created": (NEW_USER, trigger("user_created", "Added user")),
    "user_created_with_a_role": (
        NEW_USER,
        trigger("user_created", "Added user", Filter("role", "ne", ("admin", "deploy"))),
    ),
    "blacklist_ip_added": (
        client_notice("Acme Retail", "ip_blocked", application="Shop", **DENYLISTED),
        trigger("blacklist_ip_added", "Denylist watch"),
    ),
    # Without end and reason, and with the application's id instead of its name.
    "blacklist_ip_added_with_an_application": (
        client_notice("Acme Retail", "ip_blocked", application_id=8, ip="2001:db8::1"),
        trigger("blacklist_ip_added", "Denylist watch", Filter("pool", "ne", (7, -1, 99))),
    ),
    "api_structure_changed": (
        client_notice("Client 001", "api_structure_changed", "US", **NEW_ENDPOINT),
        trigger("api_structure_changed", "API changes"),
    ),
    "api_structure_changed_with_filters": (
        client_notice("Client 001", "api_structure_changed", "US", **NEW_ENDPOINT),
        trigger(
            "api_structure_changed",
            "API changes",
            Filter("change_type", "eq", ("added", "changed", "excluded")),
            Filter("pool", "eq", (7, 8)),
            Filter("domain", "ne", ("test.example.com",)),
            Filter("pii", "eq", ("credit_card_number", "email")),
        ),
    ),
    "api_structure_changed_changed": (
        client_notice(
            "Client 001", "api_structure_changed", "US", **NEW_ENDPOINT | {"change_type": "changed"}
        ),
        trigger("api_structure_changed", "API changes"),
    ),
    "api_structure_changed_unused": (
        client_notice(
            "Client 001", "api_structure_changed", "US", **NEW_ENDPOINT | {"change_type": "unused"}
        ),
        trigger("api_structure_changed", "API changes"),
    ),
    "rogue_api_detected": (
        client_notice("Client-01", "api_comparison_result", "US", **SHADOW),
        trigger("rogue_api_detected", "Rogue APIs"),
    ),
    "rogue_api_detected_with_filters": (
        client_notice(
            "Client-01", "api_comparison_result", "US", **SHADOW | {"type_of_endpoint": "orphan"}
        ),
        trigger(
            "rogue_api_detected",
            "Rogue APIs",
            Filter("deviation_type", "eq", ("orphan", "zombie")),
            Filter("api_spec_ids", "eq", (15, 16)),
        ),
    ),
    "compromised_logins": (
        client_notice("YourCompany", "compromised_logins", **LOGINS),
        trigger("compromised_logins", "Stolen credentials"),
    ),
    "compromised_logins_with_filters": (
        client_notice("YourCompany", "compromised_logins", **LOGINS),
        trigger(
            "compromised_logins",
            "Stolen credentials",
            Filter("response_status", "ne", ("4xx", 503)),
            Filter("domain", "eq", ("localhost",)),
            Filter("pool", "eq", (-1,)),
        ),
    ),
    # The producer's own text if the documented one cannot be made.
    "description": (
        client_notice("Acme Retail", "ip_blocked")
        | {"description": "As it came.\n\nClient: Acme Retail\n"},
        trigger("blacklist_ip_added", "Denylist watch", Filter("pool", "eq", (7,))),
    ),
    "facts": (
        client_notice(
            "Acme Retail", "api_structure_changed", domain="example.com", change_type="moved"
        ),
        trigger("api_structure_changed", "API changes"),
    ),
}

DOCUMENTED: dict[str, str] = {
    # The page of the Slack integration: a user is added.
    "user_created": (
        "[Wallarm] Trigger: New user was added to the company account\n\n"
        "Notification type: create_user\n\nA new user John Smith <johnsmith@example.com> with the "
        "role Analyst was added to the company account by John Doe <johndoe@example.com>.\n"
        'This notification was triggered by the "Added user" trigger.\n\n'
        "Client: TestCompany\nCloud: EU"
    ),
    # The page of the webhook integration: an IP address is denylisted.
    "blacklist_ip_added": (
        "[Wallarm] Trigger: New IP address was denylisted\n\nNotification type: ip_blocked\n\n"
        "IP address 203.0.113.10 was denylisted until 2026-01-01 02:27:15 +0300 for the reason "
        'Produces many attacks. You can review blocked IP addresses in the "Denylist" section of '
        'Wallarm Console.\nThis notification was triggered by the "Denylist watch" trigger. '
        "The IP is blocked for the application Shop.\n\nClient: Acme Retail\nCloud: EU"
    ),
    # The page of API Discovery on changes.
    "api_structure_changed": (
        "[wallarm] A new endpoint has been discovered in your API\n\n"
        "Notification type: api_structure_changed\n\n"
        "The new GET example.com/users endpoint has been discovered in your API.\n\n"
        "    Client: Client 001\n    Cloud: US\n\n    Details:\n\n"
        "      application: Application 1802\n      domain: example.com\n"
        "      endpoint_path: /users\n      http_method: GET\n      change_type: added\n"
        "      link: https://my.wallarm.com/api-discovery?instance=1802&method=GET"
        "&q=example.com%2Fusers"
    ),
    # The page of rogue APIs.
    "rogue_api_detected": (
        "[wallarm] A new shadow endpoint has been discovered in your API\n\n"
        "Notification type: api_comparison_result\n\n"
        "The new GET example.com/users shadow endpoint has been discovered in your API.\n\n"
        "    Client: Client-01\n    Cloud: US\n\n    Details:\n\n"
        "      application: Application-01\n      api_host: example.com\n"
        "      endpoint_path: /users\n      http_method: GET\n      type_of_endpoint: shadow\n"
        "      link: https://my.wallarm.com/api-discovery?instance=1802&method=GET"
        "&q=example.com%2Fusers\n      specification_name: Specification-01"
    ),
    # The page of credential stuffing.
    "compromised_logins": (
        "[wallarm] Stolen credentials detected\n\nNotification type: compromised_logins\n\n"
        "Stolen credentials have been detected in your incoming traffic:\n\n"
        "Compromised accounts: user-01@company.com\nAssociated URL: localhost/login\n"
        "Link: https://my.wallarm.com/attacks/?q=attacks+d%3Alocalhost+u%3A%2Flogin"
        "+statuscode%3A404+application%3Adefault+credential_stuffing+2024%2F01%2F22\n\n"
        "Client: YourCompany\nCloud: EU"
    ),
}
