"""Which integrations get a notice: those that have selected the event its kind belongs to.

Source: the documented notification types and the seven events of an Opsgenie integration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.domain.catalog.issue_risks import ISSUE_BODIES, RISK_FIELDS, RISKS, known_risk
from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.time_units import shown_number
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.notices.incoming import IncomingNotice

SYSTEM, RULES_AND_TRIGGERS = "system", "rules_and_triggers"
#: Notices of the end of an integration, which that integration itself does not get.
INTEGRATION_END_KINDS = frozenset(
    {"integration_broken", "disable_integration", "delete_integration"}
)
_SYSTEM_KINDS = (
    "create_user",
    "update_user",
    "delete_user",
    *sorted(INTEGRATION_END_KINDS),
    "create_application",
    "update_application",
    "delete_application",
    "spec_update_failed",
    # Our own kinds: they tell an owner that alerts are held back.
    "deliveries_overflowed",
    "alerts_stale",
)
_RULE_KINDS = tuple(
    f"{noun}_{verb}" for noun in ("rule", "trigger") for verb in ("create", "update", "delete")
)
#: Kind -> the event that it belongs to.
SUBSCRIPTIONS: Mapping[str, str] = {
    **dict.fromkeys(_SYSTEM_KINDS, SYSTEM),
    **dict.fromkeys(_RULE_KINDS, RULES_AND_TRIGGERS),
}
#: Kinds whose event depends on the risk of the issue; those with `vuln` are older names.
ISSUE_KINDS = frozenset({"security_issue", "vuln", "vuln_high", "vuln_medium", "vuln_low"})
#: Documented kinds that belong to no event of an Opsgenie integration: only triggers, or only
#: other types of integrations, send them.
UNSUBSCRIBED_KINDS = frozenset(
    {
        "ip_blocked",
        "api_structure_changed",
        "api_comparison_result",
        "compromised_logins",
        "attacks_exceeded",
        "incidents_exceeded",
        "new_hits",
        "new_scope_object_ips",
        "number_of_requests_per_hour",
    }
)
KNOWN_KINDS = frozenset({*SUBSCRIPTIONS, *ISSUE_KINDS, *UNSUBSCRIBED_KINDS})


def subscription_of(notice: IncomingNotice) -> str | None:
    """Return the event that a notice belongs to, or None.

    Raises:
        RejectedEventError: a security issue has no known risk, so it would reach nobody.
    """
    if notice.kind not in ISSUE_KINDS:
        return SUBSCRIPTIONS.get(notice.kind)
    given = _given_risks(notice)
    risk = known_risk(notice.kind, *given.values())
    if not risk:
        # The message names the first field with a value, or else the one that is missing.
        body = "vuln" if notice.kind == "vuln" else "security_issue"
        missing = f"details.{body}.{'threat' if body == 'vuln' else 'risk'}", ""
        field, value = next((pair for pair in given.items() if pair[1]), missing)
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE,
            f"{field}: {quoted(str(value)[:40])}: must be one of {', '.join(RISKS)}",
        )
    return f"security_issue_{risk.lower()}"


def _given_risks(notice: IncomingNotice) -> dict[str, object]:
    """Return what a notice gives as the risk of an issue, by the field's path."""
    bodies = ((name, notice.details.get(name)) for name in ISSUE_BODIES)
    return {
        f"details.{name}.{field}": body[field]
        for name, body in bodies
        if isinstance(body, Mapping)
        for field in RISK_FIELDS
        if field in body
    }


class Subscribers:
    """Clients and subscribed integrations in one version of the configuration."""

    def __init__(self, clients: Mapping[int, Client], integrations: Iterable[Integration]) -> None:
        self._clients = clients
        self._names = ClientNames(clients)
        self._ids: dict[tuple[int, str], list[int]] = {}
        for one in sorted(integrations, key=lambda one: one.id):
            for event in one.events if one.active else ():
                self._ids.setdefault((one.client_id, event), []).append(one.id)

    def client_of(self, notice: IncomingNotice) -> Client:
        """Return the client that a notice belongs to, by its id or else by its name.

        Raises:
            RejectedEventError: it names no client, or none that is configured.
        """
        if notice.client_id is not None:
            if notice.client_id not in self._clients:
                raise RejectedEventError(
                    DeadLetterReason.UNKNOWN_CLIENT,
                    f"client {shown_number(notice.client_id)} is not configured",
                )
            return self._clients[notice.client_id]
        name = notice.text("client_name")
        if not name:
            raise RejectedEventError(
                DeadLetterReason.MISSING_CLIENT, "neither client_id nor details.client_name"
            )
        return self._clients[self._names.client_id(name)]

    def integration_ids(
        self, client_id: int, subscription: str, notice: IncomingNotice
    ) -> tuple[int, ...]:
        """Return the ids of the active integrations that get a notice, in order."""
        ended = notice.integration_id if notice.kind in INTEGRATION_END_KINDS else None
        ids = self._ids.get((client_id, subscription), ())
        return tuple(number for number in ids if number != ended)
