"""Workers in a container's surroundings, with the variables that Kubernetes sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.kafka.cluster.admin import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess
from tests.unit.test_settings import service

CONTAINED = ("-m", "tests.integration.workers.contained_worker")


@pytest.mark.parametrize("role", ["detector", "notifier"])
async def test_a_worker_needs_no_disk_no_home_and_no_folder(
    settings: Settings, tmp_path: Path, role: str
) -> None:
    await create_topics(settings)
    keys = tmp_path / "secret-keys"
    keys.write_text(f"{generate_secret_key()}\n")
    env = service("stream-app") | service(f"stream-app-{role}")
    env["STREAM_APP_SECRET_KEYS_FILE"] = str(keys)
    with WorkerProcess(role, settings, tmp_path / "log", CONTAINED, **env) as worker:
        await worker.ready()
        assert worker.stop() == 0, worker.text
    assert "Read-only" not in worker.text
