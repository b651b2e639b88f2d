"""Secrets of an installation: rotating their keys, on a real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from stream_app.domain.configuration.kinds import Kind
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.configuration.records import read_stored
from stream_app.key_ring import KeyRing, generate_secret_key
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess

KEY = "00000000-1111-2222-3333-444444444444"
OLD, NEW = generate_secret_key(), generate_secret_key()
CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU", "applications": {}}


def integration(number: int, token: str) -> dict[str, Any]:
    return {
        "id": number,
        "client_id": 1111,
        "name": f"On-call {number}",
        "active": True,
        "type": "opsgenie",
        "target": {"token": token, "api": "https://api.atlassian.com/jsm/ops/integration"},
        "events": [],
    }


def run(
    settings: Settings, *args: str, keys: str, code: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    environ |= {"STREAM_APP_SECRET_KEYS": keys}
    done = WorkerProcess.command(settings, *args, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    for hidden in (KEY, OLD, NEW, "sealed:v1"):
        assert hidden not in done.stdout + done.stderr
    return done


def stored(settings: Settings) -> dict[int, dict[str, Any]]:
    return asyncio.run(read_stored(settings))[Kind.INTEGRATION]


def test_secret_keys_are_rotated_without_the_api_keys(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(create_topics(settings))
    file = tmp_path / "acme.json"
    named = integration(522, "env:STREAM_APP_KEY_1111_ACME")
    file.write_text(json.dumps([CLIENT, integration(521, KEY), named]))
    run(settings, "apply", "-f", str(file), keys=OLD)
    before = stored(settings)
    rotate = ("secrets", "rotate")
    run(settings, *rotate, keys=NEW, code=3)
    dry = run(settings, *rotate, "--dry-run", "--json", keys=f"{NEW},{OLD}")
    assert stored(settings) == before
    assert [(c["id"], c["action"]) for c in json.loads(dry.stdout)["changes"]] == [(521, "updated")]
    done = run(settings, *rotate, keys=f"{NEW},{OLD}")
    assert done.stdout == (
        "updated   integration 521 'On-call 521'\n          target.token: changed, and not shown\n"
    )
    after = stored(settings)
    assert KeyRing([NEW]).open(after[521]["target"]["token"], "1111/521@api.atlassian.com") == KEY
    assert (after[521]["epoch"], after[522]) == (before[521]["epoch"], before[522])
    again = run(settings, *rotate, keys=NEW)
    assert again.stderr.endswith("rotated: 0 sealed anew, 1 unchanged\n")
    assert stored(settings) == after


def test_a_worker_with_an_invalid_proxy_or_authority_ends_with_3(settings: Settings) -> None:
    asyncio.run(create_topics(settings))
    for name, value in (("PROXY_URL", f"socks5://bo:{KEY}@127.0.0.1:1"), ("CA_FILE", "/nowhere")):
        variable = f"STREAM_APP_DELIVERY__{name}"
        done = run(settings, "worker", "notifier", keys=NEW, code=3, **{variable: value})
        assert f"stream-app: {variable}: " in done.stderr
