"""The first hour of somebody new: "Your own trigger in ten minutes" of the README, as written."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.ports import free_port
from stream_app.setting_groups import EmbeddedSettings
from tests.conftest import JARS
from tests.documentation.pages import PAGES, ROOT, blocks

HEADING = "## Your own trigger in ten minutes"
PAGE = "The number of detected hits exceeded 5 in 1 minute."
#: A job that the shell has already, and that the page's commands leave alone.
OTHER_JOB, END_OTHER_JOB = "sleep 600 & other=$!\n", "kill $other && echo it runs\n"
#: `make` installs first, which has been done here.
KAFKA = ("make kafka\n", "stream-app kafka start\n")


def test_make_kafka_is_the_command_that_is_run_here() -> None:
    assert "\nkafka: $(STAMP) " in (ROOT / "Makefile").read_text()
    assert "\t@$(RUN) kafka start\n" in (ROOT / "Makefile").read_text()


def environment(port: int) -> dict[str, str]:
    """Return the environment of a new terminal; only ports and jars are those of the tests."""
    folder = Path(sys.executable).parent
    return {
        "HOME": os.environ["HOME"],
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STREAM_APP_EMBEDDED__JARS_DIRECTORY": str(JARS),
        "STREAM_APP_DELIVERY__SANDBOX_URL": f"http://127.0.0.1:{port}",
        "STREAM_APP_HTTP__PORT": "0",
    }


async def test_the_commands_of_the_readme_lead_from_nothing_to_a_page(tmp_path: Path) -> None:
    (_, begin), (_, end), *_ = blocks(PAGES["README.md"].partition(HEADING)[2])
    assert begin.startswith(KAFKA[0])
    port = free_port()
    begin = OTHER_JOB + begin.replace(*KAFKA).replace("8480", str(port))
    (tmp_path / ".local").mkdir()
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e",
        cwd=tmp_path, env=environment(port), start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert shell.stdin is not None
    assert shell.stdout is not None
    seen = ""
    try:
        async with asyncio.timeout(180):
            shell.stdin.write(begin.encode())
            while PAGE not in seen:
                line = await shell.stdout.readline()
                assert line, seen
                seen += line.decode()
            assert 'triggered by the "My first trigger" trigger' in (
                seen + (await shell.stdout.readline()).decode()
            )
            shell.stdin.write(f"{end}{END_OTHER_JOB}".encode())
            shell.stdin.close()
            rest = (await shell.stdout.read()).decode()
            assert await shell.wait() == 0, seen + rest
    finally:
        if shell.returncode is None:
            os.killpg(shell.pid, signal.SIGKILL)
            EmbeddedKafka(EmbeddedSettings(directory=tmp_path / ".local/kafka")).kill()
    assert "trigger 1 (My first trigger)" in rest
    assert "Kafka is stopped" in rest
    assert rest.endswith("it runs\n")
