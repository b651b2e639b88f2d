"""The texts of alerts of counting triggers, word for word as the product's pages show them.

Their oddities are documented, not mistakes: alerts of hits have the type and the query of attacks,
and their title says "detected" where that of incidents does not. The number in a text is the
threshold. The observed count is left out because it depends on timing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.catalog.attack_types import attack_type_name
from stream_app.domain.catalog.conditions import FILTERS
from stream_app.domain.catalog.filter_values import EXCLUDED, UNUSED
from stream_app.domain.catalog.roles import role_name
from stream_app.domain.configuration.triggers import Filter
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.foreign_text.printable import quoted

#: Cloud -> host of its console.
CONSOLE_HOSTS: Mapping[str, str] = {
    "EU": "my.wallarm.com",
    "US": "us1.my.wallarm.com",
    "ME": "me1.my.wallarm.com",
}
#: Bracket in a name -> the bracket that is shown instead.
_BRACKETS = {ord("<"): 0x2039, ord(">"): 0x203A}
#: A period is named in the largest of these units that divides it.
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class Message(msgspec.Struct, frozen=True):
    """A rendered alert: a title of one line, the text below it, and flat details for machines."""

    title: str
    description: str
    details: dict[str, str]


class Wording(msgspec.Struct, frozen=True):
    """The words that differ between the conditions' texts.

    `title` and `sentence` name what exceeded the threshold; `query` is the console's search.
    """

    notification_type: str
    title: str
    sentence: str
    query: str


WORDINGS: Mapping[str, Wording] = {
    "attacks_exceeded": Wording("attacks_exceeded", "attacks", "detected attacks", "attacks"),
    "hits_exceeded": Wording("attacks_exceeded", "detected hits", "detected hits", "attacks"),
    "incidents_exceeded": Wording(
        "incidents_exceeded", "incidents", "detected incidents", "incidents"
    ),
}


def render_alert(alert: Alert, *, console_hosts: Mapping[str, str] | None = None) -> Message:
    """Return the message of a fired trigger; equal alerts give equal messages.

    Args:
        alert: the alert of the trigger.
        console_hosts: hosts of consoles by cloud, which win over `CONSOLE_HOSTS`.

    Raises:
        RejectedEventError: the alert's condition has no text, so a newer version wrote it.
    """
    trigger = alert.trigger
    wording = WORDINGS.get(trigger.template_id)
    if wording is None:
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE,
            f"alert {alert.id}: condition {quoted(trigger.template_id)} has no text in this "
            "version: update the worker and redrive the alert",
        )
    link = _link(alert, wording, console_host(alert.cloud, console_hosts))
    count, period = trigger.threshold.count, trigger.threshold.period
    lines = [
        f"Notification type: {wording.notification_type}",
        "",
        f"The number of {wording.sentence} exceeded {count} in {period_text(period)}.",
        trigger_line(trigger.name),
        "",
        *clause_lines(trigger.filters, alert.applications),
        "View events:",
        link,
        "",
        f"Client: {shown_name(alert.client_name)}",
        f"Cloud: {alert.cloud}",
    ]
    return Message(
        title=f"[Wallarm] Trigger: The number of {wording.title} exceeded the threshold",
        description="\n".join(lines),
        details={
            "client_name": shown_name(alert.client_name),
            "cloud": alert.cloud,
            "notification_type": wording.notification_type,
            "trigger_id": str(trigger.id),
            "trigger_name": shown_name(trigger.name),
            "template_id": trigger.template_id,
            "threshold_count": str(count),
            "threshold_period": str(period),
            "time_from": str(alert.window_start),
            "time_to": str(alert.window_end),
            "link": link,
        },
    )


def period_text(seconds: int) -> str:
    """Return a period as people say it: `1 second`, `15 minutes`, `90 seconds`, `1 day`."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    number = seconds // size
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def console_host(cloud: str, console_hosts: Mapping[str, str] | None = None) -> str:
    """Return the host of a cloud's console.

    An unknown cloud gets the EU's host, as in the documented texts: an alert with a wrong link
    still wakes somebody, and a refused alert nobody.
    """
    hosts = {**CONSOLE_HOSTS, **(console_hosts or {})}
    return hosts.get(cloud, hosts["EU"])


def _link(alert: Alert, wording: Wording, host: str) -> str:
    window = f"time_from={alert.window_start}&time_to={alert.window_end}"
    return f"https://{host}/attacks?q={wording.query}&{window}"


def trigger_line(name: str) -> str:
    """Return the sentence that names the trigger of a message."""
    return f'This notification was triggered by the "{shown_name(name)}" trigger.'


def shown_name(text: str) -> str:
    """Return a configured name without brackets that could be taken for markup.

    Tags are removed from every text before it is sent, since attackers write some of the texts. A
    name comes from its owner, so nothing of it is removed: similar brackets replace those of tags.
    """
    return text.translate(_BRACKETS)


def clause_lines(filters: Sequence[Filter], applications: Mapping[str, str]) -> list[str]:
    """Return the lines of a trigger's filters and a blank line; none without filters.

    Args:
        filters: in the trigger's order.
        applications: names of applications by id as text.
    """
    if not filters:
        return []
    # The documented apostrophe is U+2019.
    heading = "Additional trigger\u2019s clauses:"
    return [heading, *(_clause(item, applications) for item in filters), ""]


def _clause(item: Filter, applications: Mapping[str, str]) -> str:
    values = ", ".join(_value_text(item.id, value, applications) for value in item.values)
    negation = "not " if item.operator == "ne" else ""
    label = FILTERS[item.id].label if item.id in FILTERS else item.id
    return shown_name(f"{label}: {negation}{values}.")


def _value_text(filter_id: str, value: str | int, applications: Mapping[str, str]) -> str:
    text = str(value)
    if filter_id == "attack_type":
        return attack_type_name(text)
    if filter_id == "pool":
        return applications.get(text, text)
    if filter_id == "role":
        return role_name(text)
    if filter_id == "change_type" and text == EXCLUDED:
        return UNUSED  # the word of the notices and of the console
    return text.lower() if filter_id == "target" else text
