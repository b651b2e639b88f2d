"""The texts of notices that a trigger matches, word for word as the product's pages show them.

Their oddities are documented: some prefixes are in lower case, and the texts about APIs have the
client indented above the details. Where the pages leave a choice:

- The page of webhooks and the page of IP lists show different texts of a denylisted address. Ours
  is that of webhooks: its title has the form of other triggers (`[Wallarm] Trigger: …`), the
  documented record contains it, and the line breaks of the other text belong to its page.
- The texts about APIs and stolen credentials are documented without a line that names the
  trigger, and have none here. Only if the trigger has filters, the line stands above their
  clauses, to say whose clauses they are. The details always name the trigger.
- Only the text of a new endpoint is documented; those of other changes are modelled on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.alerts.alert import NoticeAlert, NoticeTrigger
from stream_app.domain.alerts.notice_sentences import FlatDetails, summary_and_details, user_added
from stream_app.domain.alerts.threshold_text import clause_lines, trigger_line
from stream_app.domain.catalog.filter_values import (
    APPLICATION_ID_FIELDS,
    EXCLUDED,
    UNUSED,
    normal_change_type,
    normal_deviation_type,
)

DENYLIST = 'You can review blocked IP addresses in the "Denylist" section of Wallarm Console.'
#: Change of an endpoint -> title and sentence.
CHANGES: Mapping[str, tuple[str, str]] = {
    "added": (
        "A new endpoint has been discovered in your API",
        "The new {endpoint} endpoint has been discovered in your API.",
    ),
    "changed": (
        "An endpoint has been changed in your API",
        "The {endpoint} endpoint has been changed in your API.",
    ),
    **dict.fromkeys(
        (UNUSED, EXCLUDED),
        (
            "An unused endpoint has been discovered in your API",
            "The unused {endpoint} endpoint has been discovered in your API.",
        ),
    ),
}


@dataclass(frozen=True)
class TextParts:
    """The parts of a text: `lines` about what happened, then the trigger, then the footer.

    `has_trigger_line` says whether the documented text names the trigger, directly below `lines`
    and followed by `after_trigger`. `has_footer` says whether it ends with client and cloud.
    """

    title: str
    lines: Sequence[str]
    has_trigger_line: bool = True
    after_trigger: str = ""
    has_footer: bool = True


def triggered_text(alert: NoticeAlert, trigger: NoticeTrigger) -> tuple[str, str]:
    """Return the title and the description of a notice that a trigger matches."""
    kind = alert.notice.kind
    text = DOCUMENTED_TEXTS[kind](alert) if kind in DOCUMENTED_TEXTS else None
    if text is None and alert.notice.description:
        return alert.notice.summary, _with_trigger(alert.notice.description, alert, trigger)
    if text is None:
        listed = summary_and_details(alert.notice.summary, alert.notice.details)
        text = TextParts(alert.notice.summary, [*listed, ""])
    lines = [f"Notification type: {kind}", "", *text.lines]
    if text.has_trigger_line:
        after = f" {text.after_trigger}" if text.after_trigger else ""
        lines += [f"{trigger_line(trigger.name)}{after}", ""]
    elif trigger.filters:
        lines += ["", trigger_line(trigger.name), ""]
    else:
        lines += [""]
    lines += clause_lines(trigger.filters, alert.applications)
    if text.has_footer:
        lines += [f"Client: {alert.client_name}", f"Cloud: {alert.cloud}"]
    return text.title, "\n".join(lines).rstrip("\n")


def _with_trigger(description: str, alert: NoticeAlert, trigger: NoticeTrigger) -> str:
    """Return the producer's own text with the trigger below it."""
    clauses = clause_lines(trigger.filters, alert.applications)
    lines = [description.rstrip(), "", trigger_line(trigger.name), "", *clauses]
    return "\n".join(lines).rstrip("\n")


def _user_added(alert: NoticeAlert) -> TextParts | None:
    sentence = user_added(alert.notice.details)
    title = "[Wallarm] Trigger: New user was added to the company account"
    return TextParts(title, [sentence]) if sentence else None


def _ip_denylisted(alert: NoticeAlert) -> TextParts | None:
    details = alert.notice.details
    ip, until, reason = (details.get(name, "") for name in ("ip", "expire_at", "reason"))
    if not ip:
        return None
    until = f" until {until}" if until else ""
    reason = f" for the reason {reason}" if reason else ""
    application = _application(alert)
    blocked_for = f"The IP is blocked for the application {application}." if application else ""
    return TextParts(
        "[Wallarm] Trigger: New IP address was denylisted",
        [f"IP address {ip} was denylisted{until}{reason}. {DENYLIST}"],
        after_trigger=blocked_for,
    )


def _endpoint_changed(alert: NoticeAlert) -> TextParts | None:
    details = alert.notice.details
    endpoint, change = _endpoint(details), normal_change_type(details.get("change_type", ""))
    if not endpoint or change not in CHANGES:
        return None
    title, sentence = CHANGES[change]
    names = ("domain", "endpoint_path", "http_method", "change_type", "link")
    return _api_text(alert, title, sentence.format(endpoint=endpoint), names)


def _rogue_endpoint(alert: NoticeAlert) -> TextParts | None:
    details = alert.notice.details
    endpoint, deviation = (
        _endpoint(details),
        normal_deviation_type(details.get("type_of_endpoint", "")),
    )
    if not endpoint or not deviation:
        return None
    names = ("api_host", "endpoint_path", "http_method", "type_of_endpoint", "link")
    return _api_text(
        alert,
        f"A new {deviation} endpoint has been discovered in your API",
        f"The new {endpoint} {deviation} endpoint has been discovered in your API.",
        (*names, "specification_name"),
    )


def _api_text(alert: NoticeAlert, title: str, sentence: str, names: Sequence[str]) -> TextParts:
    shown = {"application": _application(alert)}
    shown |= {name: alert.notice.details.get(name, "") for name in names}
    lines = [
        sentence,
        "",
        f"    Client: {alert.client_name}",
        f"    Cloud: {alert.cloud}",
        "",
        "    Details:",
        "",
        *(f"      {name}: {value}" for name, value in shown.items() if value),
    ]
    return TextParts(f"[wallarm] {title}", lines, has_trigger_line=False, has_footer=False)


def _stolen_credentials(alert: NoticeAlert) -> TextParts | None:
    details = alert.notice.details
    accounts = details.get("compromised_accounts") or details.get("accounts")
    if not accounts:
        return None
    url = details.get("url") or details.get("URL")
    rows = (("Associated URL", url), ("Link", details.get("link")))
    lines = [
        "Stolen credentials have been detected in your incoming traffic:",
        "",
        f"Compromised accounts: {accounts}",
        *(f"{label}: {value}" for label, value in rows if value),
    ]
    return TextParts("[wallarm] Stolen credentials detected", lines, has_trigger_line=False)


def _endpoint(details: FlatDetails) -> str:
    """Return `GET example.com/users`; empty if a part is missing."""
    host = next((details[n] for n in ("domain", "api_host", "host") if details.get(n)), "")
    method, path = details.get("http_method"), details.get("endpoint_path")
    return f"{method} {host}{path}" if method and host and path else ""


def _application(alert: NoticeAlert) -> str:
    """Return the application's name from the notice, or else the name of its id.

    A number in the place of a name is an id, unless an application has this number as its name.
    """
    details, known = alert.notice.details, alert.applications
    names = {name.strip() for name in known.values()}
    ids = {number: name for number, name in known.items() if number not in names}
    for field in ("application", "application_name", "applications"):
        if listed := details.get(field):
            return _named(listed, ids)
    return _named(
        next((details[name] for name in APPLICATION_ID_FIELDS if details.get(name)), ""), known
    )


def _named(listed: str, names: Mapping[str, str]) -> str:
    """Return a comma-separated list with its ids replaced by names."""
    return ", ".join(names.get(part.strip(), part) for part in listed.split(", "))


#: Kind -> its documented text; None if the notice lacks details that it needs.
DOCUMENTED_TEXTS: Mapping[str, Callable[[NoticeAlert], TextParts | None]] = {
    "create_user": _user_added,
    "ip_blocked": _ip_denylisted,
    "api_structure_changed": _endpoint_changed,
    "api_comparison_result": _rogue_endpoint,
    "compromised_logins": _stolen_credentials,
}
