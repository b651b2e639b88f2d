"""The documented triggers: filters, values, thresholds and reactions by condition.

These tables are written by hand, because the code's own tables are compared with them.
"""

from __future__ import annotations

from typing import Any

from stream_app.domain.configuration.triggers import Trigger, read_trigger
from tests.unit.domain.objects import parse_trigger

PERIODS = (1, 60, 3600, 86400)
COUNTED = ("attacks_exceeded", "hits_exceeded", "incidents_exceeded")
OF_NOTICES = (
    "blacklist_ip_added",
    "api_structure_changed",
    "rogue_api_detected",
    "compromised_logins",
    "user_created",
)
OF_REQUESTS = ("bruteforce_started", "forced_browsing_started", "bola_search_started")
NOT_EVALUATED = ("vector_attack", *OF_REQUESTS, "attack_ip_grouping")
ALL = (*COUNTED, *OF_NOTICES, *NOT_EVALUATED)

FILTERS_OF = {
    "attacks_exceeded": "attack_type pool ip_address domain response_status target",
    "hits_exceeded": "attack_type pool ip_address domain response_status",
    "incidents_exceeded": "attack_type pool ip_address domain response_status target",
    "vector_attack": "attack_type pool ip_address domain response_status target",
    "bruteforce_started": "hint_tag url pool ip_address",
    "forced_browsing_started": "hint_tag url pool ip_address",
    "bola_search_started": "hint_tag url pool ip_address",
    "attack_ip_grouping": "",
    "blacklist_ip_added": "pool",
    "api_structure_changed": "pool domain change_type pii",
    "rogue_api_detected": "pool domain deviation_type api_spec_ids",
    "compromised_logins": "pool domain response_status",
    "user_created": "role",
}
ONLY_EQ = {"change_type", "pii", "deviation_type", "api_spec_ids"}
#: Filter -> values as written and as stored.
TAKEN: dict[str, list[tuple[object, object]]] = {
    "attack_type": [("SQLi", "sqli"), ("Enum", "enum")],
    "pool": [(-1, -1), (7, 7)],
    "ip_address": [("203.0.113.10", "203.0.113.10"), ("2001:DB8::0:1", "2001:db8::1")],
    "domain": [("Shop.ACME.example", "shop.acme.example")],
    "response_status": [(504, 504), ("5XX", "5xx")],
    "target": [("Server", "server"), ("database", "database"), ("client", "client")],
    "change_type": [
        ("added", "added"),
        ("Changed", "changed"),
        ("excluded", "excluded"),
        ("unused", "excluded"),
        ("Unused", "excluded"),
    ],
    "pii": [
        ("cvv", "CVV"),
        ("IBAN", "IBAN"),
        ("Password", "password"),
        ("ssn", "SSN"),
        (" shoe_size ", "shoe_size"),
    ],
    "deviation_type": [("shadow", "shadow"), ("Zombie", "zombie"), ("orphan", "orphan")],
    "api_spec_ids": [(1, 1), (15, 15)],
    "role": [
        ("admin", "admin"),
        ("Administrator", "admin"),
        ("ANALYST", "analytic"),
        ("Read only", "auditor"),
        ("deploy", "deploy"),
        ("API developer", "api_developer"),
        ("admin_ext", "admin_ext"),
        ("Global Administrator", "partner_admin"),
        ("Global Analyst", "partner_analytic"),
        ("partner_auditor", "partner_auditor"),
    ],
    "hint_tag": [("b:9f2c6d0ab1e4f733", "b:9f2c6d0ab1e4f733")],
    "url": [("/login", "/login")],
}
#: Filter -> what its message says, and values that it does not take.
REFUSED: dict[str, tuple[str, list[object]]] = {
    "attack_type": ("must be a documented attack type code", ["", "sqly?", None, 5]),
    "pool": ("must be an application id: -1 (default) or more", [-2, "7", True, 1.0, None]),
    "ip_address": ("must be a single IPv4 or IPv6 address", ["203.0.113.0/24", "fe80::1%e", 5]),
    "domain": ("must be a host name", ["https://a.example", "a b", "", None]),
    "response_status": ('must be a number from 100 to 599, or "1xx"', [99, 600, "404", "6xx"]),
    "target": ("must be one of server, client, database", ["browser", "", 1, None]),
    "change_type": ("must be one of added, changed, excluded", ["new", "", 1, None]),
    "pii": (
        "must be a kind of sensitive data, such as password, secret, credit_card_number, CVV",
        ["", " ", 1, None],
    ),
    "deviation_type": ("must be one of shadow, zombie, orphan", ["ghost", "", 1, None]),
    "api_spec_ids": ("must be a specification id: 1 or more", [0, -1, "15", True, 1.5, None]),
    "role": ("must be one of admin, admin_ext, analytic", ["root", "", 1, None]),
    "hint_tag": ("must be a text, the id of a counter", ["", " ", 5, None]),
    "url": ("must be a text", ["", 5, None]),
}
THRESHOLDS = {
    **{name: {"count": 1, "period": 60} for name in COUNTED},
    "vector_attack": {"count": 3, "period": 3600},
    "bruteforce_started": {"count": 30, "period": 30},
}
NOTIFY = {"id": "send_notification", "params": {"integration_ids": [521]}}
ACTIONS: dict[str, dict[str, Any]] = {
    "send_notification": NOTIFY,
    "block_ips": {"id": "block_ips", "params": {"lock_time": 3600}},
    "add_to_graylist": {"id": "add_to_graylist", "params": {"lock_time": 0}},
    "mark_as_brute": {"id": "mark_as_brute"},
    "group_attack_by_ip": {"id": "group_attack_by_ip", "params": {}},
}
REACTIONS_OF = {
    **dict.fromkeys(COUNTED, "send_notification block_ips add_to_graylist"),
    **dict.fromkeys(OF_NOTICES, "send_notification"),
    "vector_attack": "send_notification block_ips add_to_graylist",
    **dict.fromkeys(OF_REQUESTS, "mark_as_brute block_ips add_to_graylist"),
    "attack_ip_grouping": "group_attack_by_ip",
}


def obj(template_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": 61,
        "client_id": 1111,
        "name": f"Trigger of {template_id}",
        "enabled": True,
        "template_id": template_id,
        "filters": [],
        "threshold": THRESHOLDS.get(template_id),
        "actions": [ACTIONS[REACTIONS_OF[template_id].split()[0]]],
    } | changes


def parse(template_id: str, **changes: Any) -> Trigger:
    return parse_trigger(obj(template_id, **changes), allowed_periods=PERIODS)


def messages(template_id: str, **changes: Any) -> list[str]:
    _, found = read_trigger(obj(template_id, **changes), allowed_periods=PERIODS)
    return [str(problem) for problem in found]


def clause(filter_id: object, *values: object, operator: str = "eq") -> list[dict[str, Any]]:
    return [{"id": filter_id, "operator": operator, "values": list(values)}]
