"""The sample customer: what a person could apply by hand, pointed at a sandbox."""

from __future__ import annotations

from pathlib import Path

from stream_app.cli.sandbox.serve import DEFAULT_PORT
from stream_app.demo.customer import INTEGRATION_ID, api_keys, sample_objects
from stream_app.demo.run import SANDBOX_PORT
from stream_app.domain.configuration.triggers import Filter, Threshold
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.sample.events import DEFAULT_CLIENTS, SITES
from tests.unit.domain.objects import parse_client, parse_integration, parse_trigger
from tests.unit.domain.trigger_tables import COUNTED

URL = "http://127.0.0.1:9999"
CLIENT, INTEGRATION, *TRIGGERS = sample_objects(URL)


def test_the_client_is_the_one_of_the_sample_events_and_knows_their_applications() -> None:
    client = parse_client(CLIENT)
    assert (client.client_id,) == DEFAULT_CLIENTS
    assert client.applications == {site.pool: site.application for site in SITES}


def test_the_first_trigger_is_the_documented_example() -> None:
    trigger = parse_trigger(TRIGGERS[0], allowed_periods=(1,))
    assert trigger.name == "Notification about incidents"
    assert trigger.template_id == "incidents_exceeded"
    assert trigger.filters == (Filter("target", "eq", ("server", "database")),)
    assert trigger.threshold == Threshold(count=1, period=1)


def test_the_triggers_are_valid_enabled_and_of_every_counted_condition() -> None:
    triggers = [parse_trigger(obj, allowed_periods=(1, 60)) for obj in TRIGGERS]
    assert all(t.enabled and t.integration_ids == (INTEGRATION["id"],) for t in triggers)
    assert {t.template_id for t in triggers} == set(COUNTED)
    assert len({t.id for t in triggers}) == len(triggers)


def test_the_integration_points_at_the_sandbox_with_the_key_that_it_accepts() -> None:
    assert api_keys([CLIENT, INTEGRATION]) == [INTEGRATION["target"]["token"]]
    sealed = {**INTEGRATION, "target": {**INTEGRATION["target"], "token": "sealed:v1:x"}}
    integration = parse_integration(sealed)
    assert integration.active
    assert integration.id == INTEGRATION_ID, "commands that the demo prints name it"
    assert resolve_endpoint(integration.api, URL).is_sandbox


def test_the_file_of_the_integration_fits_the_sandbox_command() -> None:
    file = Path(__file__).parents[3] / "stream_app/demo/objects/integration.yaml"
    assert f"api: http://127.0.0.1:{DEFAULT_PORT}/v2/alerts" in file.read_text()
    assert SANDBOX_PORT == DEFAULT_PORT
