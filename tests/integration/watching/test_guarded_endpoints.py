"""Workers with TLS and a token, scraped by a real Prometheus as the example says."""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess
from tests.integration.watching.watched import EXAMPLE, Prometheus
from tests.tls.authority import Authority, Pair

HOST = "127.0.0.1"
#: The lines of the example that are comments until somebody needs them.
GUARDED = re.sub(
    r"^( +)# (scheme:|tls_config:|authorization:|  ca_file:|  credentials_file:)",
    r"\1\2",
    EXAMPLE,
    flags=re.MULTILINE,
)


async def up(prometheus: Prometheus) -> list[str]:
    """Return for each worker whether it is scraped."""
    found = await prometheus.query("up")
    return [sample["value"][1] for sample in found]


async def until(prometheus: Prometheus, expected: list[str]) -> None:
    async with asyncio.timeout(90):
        while await up(prometheus) != expected:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.2)


def install(pair: Pair, folder: Path) -> None:
    shutil.copy(pair.certfile, folder / "tls.crt")
    shutil.copy(pair.keyfile, folder / "tls.key")


async def test_prometheus_reads_them_and_goes_on_when_both_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    authority = Authority(folder, "stream-app-ca")
    authority.path.rename(folder / "stream-app-ca.crt")
    theirs, ours = folder / "stream-app-token", tmp_path / "token"
    for file in (theirs, ours):
        file.write_text("first\n")
    install(authority.pair(HOST), tmp_path)
    # Nobody answers there: a worker that waits for Kafka shows its endpoints.
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=f"{HOST}:1"))
    environ = {
        "STREAM_APP_HTTP__TLS_CERTFILE": str(tmp_path / "tls.crt"),
        "STREAM_APP_HTTP__TLS_KEYFILE": str(tmp_path / "tls.key"),
        "STREAM_APP_HTTP__TOKEN_FILE": str(ours),
    }
    with ExitStack() as stack:
        workers = {
            role: stack.enter_context(
                WorkerProcess(role, settings, tmp_path / f"{role}.log", **environ)
            )
            for role in ("detector", "notifier")
        }
        async with asyncio.timeout(60):
            while not all(worker.url for worker in workers.values()):
                assert all(worker.process.poll() is None for worker in workers.values())
                await asyncio.sleep(0.1)
        assert all((worker.url or "").startswith("https://") for worker in workers.values())
        prometheus = stack.enter_context(Prometheus(folder, workers, GUARDED))
        await until(prometheus, ["1", "1"])
        ready = await prometheus.query("stream_app_ready")
        assert [sample["value"][1] for sample in ready] == ["0", "0"], "Kafka is away"
        ours.write_text("second\n")
        await until(prometheus, ["0", "0"])
        theirs.write_text("second\n")
        install(authority.pair(HOST), tmp_path)
        await until(prometheus, ["1", "1"])
        certificate = "STREAM_APP_HTTP__TLS_CERTFILE, STREAM_APP_HTTP__TLS_KEYFILE"
        async with asyncio.timeout(60):
            while any(certificate not in worker.text for worker in workers.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await until(prometheus, ["1", "1"])
