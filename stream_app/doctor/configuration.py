"""Checks of the configuration: clients' names, integrations' keys and hosts, and the heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_app.doctor.check import Finding, fail, ok, warn
from stream_app.domain.configuration.client_names import normal_name, shared_names
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import ConfigurationError, SealingError
from stream_app.domain.reports.integration_state import integration_row, why_unusable
from stream_app.domain.reports.operator_integration import VARIABLE, operator_problem
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.key_ring import KeyRing
from stream_app.opsgenie.destination import Destinations
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.reach import connect

if TYPE_CHECKING:
    from stream_app.domain.configuration.fields import Problems
    from stream_app.domain.configuration.integrations import Integration
    from stream_app.settings import Settings

_LET_OUT = "let this machine out to it, or set STREAM_APP_DELIVERY__PROXY_URL"


async def client_names(settings: Settings) -> Sequence[Finding]:
    """Check whether clients share a name: events that name a client then belong to only one."""
    name = "client names"
    records = (await read_stored(settings))[Kind.CLIENT].values()
    clients = [client for client, problems in map(read_client, records) if not problems]
    found = shared_names({client.client_id: normal_name(client.name) for client in clients})
    if not found:
        return [ok(name, f"{len(clients)}, each its own")]
    step = "apply it with another name, and let producers send client_id"
    return [
        fail(name, f"client {number} has the name of client {keeper}", step)
        for number, keeper in found.items()
    ]


async def _integrations(settings: Settings) -> list[tuple[Integration, Problems]]:
    stored = await read_stored(settings)
    return [read_integration(record) for _, record in sorted(stored[Kind.INTEGRATION].items())]


async def keys(settings: Settings) -> Sequence[Finding]:
    """Check whether each integration's API key can be opened here; send and show no key."""
    name, ring, findings, opened = "API keys", KeyRing.from_settings(settings), [], 0
    for integration, problems in await _integrations(settings):
        if problems:
            text = f"integration {integration.id} cannot be used: {problems[0]}"
            findings.append(fail(name, text, "mend it: stream-app apply -f …"))
            continue
        try:
            ring.open(integration.key, integration.key_context)
            opened += 1
        except SealingError as error:
            report = fail if integration.active else warn
            step = "set what opens it here, or apply it again with its key"
            findings.append(report(name, f"integration {integration.id}: {error}", step))
    if not opened and not findings:
        return [warn(name, "no integration is configured", "stream-app apply -f acme.yaml")]
    return [*findings, ok(name, f"{opened} can be opened")] if opened else findings


async def operator(settings: Settings) -> Sequence[Finding]:
    """Check whether the operator integration can be used, if one is named."""
    name, number = "operator", settings.operator_integration
    if number is None:
        return [ok(name, f"{VARIABLE} is not set: only a client's own integrations are told")]
    record = (await read_stored(settings))[Kind.INTEGRATION].get(number)
    status = (await read_statuses(settings)).get(number)
    state = None if record is None else str(integration_row(number, record, status)["state"])
    if (problem := operator_problem(number, state)) is not None:
        return [fail(name, problem.what, problem.next_step)]
    return [ok(name, f"integration {number} is told of integrations that are disabled")]


async def endpoints(settings: Settings) -> Sequence[Finding]:
    """Try name, connection and TLS for each host of an active integration; send no key."""
    found = await _integrations(settings)
    return await reach_hosts(settings, [one for one, wrong in found if one.active and not wrong])


async def reach_hosts(settings: Settings, integrations: Sequence[Integration]) -> Sequence[Finding]:
    """Try each host of these integrations once, on the way that alerts take."""
    name = "endpoints"
    wanted: dict[str, Endpoint] = {}
    findings: list[Finding] = []
    for integration in integrations:
        try:
            endpoint = resolve_endpoint(integration.api, settings.delivery.sandbox_url)
            wanted.setdefault(endpoint.alerts_url, endpoint)
        except ConfigurationError as error:
            findings.append(fail(name, f"integration {integration.id}: {error}", ""))
    async with Destinations(settings.delivery) as destinations:
        for endpoint in wanted.values():
            answer = await destinations.open(endpoint).reach()
            text = answer.text + _way(settings, endpoint.alerts_url)
            findings.append(ok(name, text) if answer.is_reached else fail(name, text, _LET_OUT))
    return findings or [warn(name, "no active integration names one", "stream-app apply -f …")]


async def heartbeat(settings: Settings) -> Sequence[Finding]:
    """Try name, connection and TLS for the heartbeat's host; ping nothing."""
    name, wanted = "heartbeat", settings.heartbeat
    if wanted.target is None:
        return [ok(name, "none is set: nobody is paged when the pager is dead")]
    url = wanted.jsm_api if wanted.url is None else wanted.url.get_secret_value().strip()
    if (number := wanted.integration_id) is not None:
        record = (await read_stored(settings))[Kind.INTEGRATION].get(number)
        why = why_unusable(number, record, (await read_statuses(settings)).get(number))
        if record is None or why is not None:
            return [fail(name, f"nothing is pinged: {why}", "stream-app integrations list")]
        integration, _ = read_integration(record)
        url = resolve_endpoint(integration.api, settings.delivery.sandbox_url).alerts_url
    is_reached, text = await connect(settings.delivery, url)
    text += _way(settings, url)
    if not is_reached:
        return [fail(name, text, _LET_OUT)]
    return [ok(name, f"{text}; `stream-app heartbeat` tests the rest")]


def _way(settings: Settings, url: str) -> str:
    is_proxied = settings.delivery.proxy_url is not None and url.startswith("https:")
    return ", through the proxy" if is_proxied else ""
