"""What the README tells a reader to type works as written."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stream_app.kafka.admin import create_topics
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess

README = Path(__file__).parents[2] / "README.md"


async def test_the_configuration_of_the_readme_can_be_applied(
    settings: Settings, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), flags=re.DOTALL)
    file = tmp_path / "acme.yaml"
    file.write_text(example)
    await create_topics(settings)
    shown = WorkerProcess.command(settings, "apply", "-f", str(file), "--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    changes = {
        (row["kind"], row["id"]): row["action"] for row in json.loads(shown.stdout)["changes"]
    }
    assert set(changes) == {
        ("client", 1111),
        ("integration", 521),
        ("trigger", 61),
        ("trigger", 62),
    }
    applied = WorkerProcess.command(settings, "apply", "-f", str(file))
    assert applied.returncode == 0, applied.stderr
    again = WorkerProcess.command(settings, "apply", "-f", str(file), "--json")
    assert {row["action"] for row in json.loads(again.stdout)["changes"]} <= {"unchanged"}


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    marked = README.read_text().partition("<!-- test command -->\n```\n")[2]
    assert marked.startswith("make test\n```")
