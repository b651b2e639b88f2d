"""The main job: events in, the page's own alert out, at an HTTP endpoint, in time."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, drained, put

#: The user's own page, word for word; XXXXXXXXXX are the window's start and end.
PAGE_EXAMPLE = """\
[Wallarm] Trigger: The number of incidents exceeded the threshold

Notification type: incidents_exceeded

The number of detected incidents exceeded 1 in 1 second.
This notification was triggered by the "Notification about incidents" trigger.

Additional trigger’s clauses:
Target: server, database.

View events:
https://my.wallarm.com/attacks?q=incidents&time_from=XXXXXXXXXX&time_to=XXXXXXXXXX

Client: TestCompany
Cloud: EU"""  # noqa: RUF001 - the page writes U+2019

KEY = "00000000-0000-4000-8000-000000000001"


def objects(url: str) -> list[dict[str, Any]]:
    """Return what a person applies, in the API's own shapes."""
    return [
        {"client_id": 1, "name": "TestCompany", "cloud": "EU", "applications": {}},
        {
            "id": 521,
            "clientid": 1,
            "name": "On-call EU",
            "type": "opsgenie",
            "active": True,
            "target": {"api": f"{url}/v2/alerts", "token": KEY},
            "events": [{"event": "system", "active": True}],
        },
        {
            "trigger": {
                "id": 61,
                "client_id": 1,
                "name": "Notification about incidents",
                "comment": "",
                "enabled": True,
                "template_id": "incidents_exceeded",
                "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
                "threshold": {"count": 1, "period": 1, "operator": "gt"},
                "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
            }
        },
    ]


async def test_two_incidents_in_one_second_and_then_silence_are_an_alert_within_a_second(
    settings: Settings, tmp_path: Path
) -> None:
    arrived: list[tuple[float, Any]] = []
    sandbox = SandboxOpsgenie(keys={KEY}, on_alert=lambda a: arrived.append((time.time(), a)))
    url = await sandbox.start()
    env = {
        "STREAM_APP_SECRET_KEYS": Fernet.generate_key().decode(),
        "STREAM_APP_DELIVERY__SANDBOX_URL": url,
    }
    file = tmp_path / "acme.yaml"
    file.write_text(yaml.safe_dump_all(objects(url)))
    await create_topics(settings)
    applied = WorkerProcess.command(settings, "apply", "-f", str(file), **env)
    assert applied.returncode == 0, applied.stderr
    with (
        WorkerProcess("detector", settings, tmp_path / "detector.log", **env) as detector,
        WorkerProcess("notifier", settings, tmp_path / "notifier.log", **env) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        for pair in range(5):
            second = int(time.time()) - pair * 10
            value = json.dumps({"client_id": 1, "first_time": second, "type": "ptrav"}).encode()
            topic = f"{settings.topic_prefix}events.incidents"
            sent = time.time()
            # Two records of two producers, without a key: they may be in two partitions.
            await put(settings.kafka.bootstrap_servers or "", topic, [(None, value)])
            await put(settings.kafka.bootstrap_servers or "", topic, [(None, value)])
            while len(arrived) <= pair and time.time() - sent < 10:  # noqa: ASYNC110 - of a callback
                await asyncio.sleep(0.005)
            at, alert = arrived[pair]
            assert at - sent < 1
            text = PAGE_EXAMPLE.replace("time_from=XXXXXXXXXX", f"time_from={second}")
            text = text.replace("time_to=XXXXXXXXXX", f"time_to={second + 1}")
            assert f"{alert.message}\n\n{alert.description}" == text
            assert alert.requests == 1
            await asyncio.sleep(0.3)
        await drained(settings, "notifier", ["alerts", "deliveries", "delivery-results"])
        assert len(sandbox.requests) == 5
        for worker in (detector, notifier):
            assert worker.stop() == 0
            assert KEY not in worker.text
    await sandbox.stop()
