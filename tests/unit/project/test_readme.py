"""The README's generated parts are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from stream_app.domain.catalog.conditions import CONDITIONS, FILTERS, Family, Reaction
from stream_app.opsgenie.sandbox.fault import KINDS
from stream_app.settings import secret_variables
from tests.readme_tables import metrics_table, settings_table

README = Path(__file__).parents[3] / "README.md"


def test_the_settings_table_is_that_of_the_code() -> None:
    assert settings_table() in README.read_text(), "run: python -m tests.readme_tables"


def test_the_metrics_table_is_that_of_the_code() -> None:
    assert metrics_table() in README.read_text(), "run: python -m tests.readme_tables"


def test_the_commands_are_those_of_the_command_line() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "stream_app", "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = help_text.partition("Commands:\n")[2].partition("\n\n")[0].split("\n")
    names = [line.split()[0] for line in commands if line.startswith("  ") and line.strip()]
    text = README.read_text()
    assert names, help_text
    assert [name for name in names if f"`stream-app {name}" not in text] == []


def test_the_conditions_and_reactions_are_those_of_the_code() -> None:
    text = README.read_text()
    heading = "| `template_id` | notices | filters |\n|---|---|---|\n"
    rows = text.partition(heading)[2].partition("\n\n")[0]
    cells = [row.strip("| ").split(" | ") for row in rows.split("\n")]
    named = {
        condition.strip("`"): (
            kind.strip("`"),
            tuple(name for name in re.findall(r"`(\w+)`", row) if name in FILTERS),
        )
        for condition, kind, row in cells
    }
    assert named == {
        name: (row.notification_type, row.filters)
        for name, row in CONDITIONS.items()
        if row.family is Family.NOTICED
    }
    assert [name for name in (*CONDITIONS, *Reaction) if f"`{name}`" not in text] == [
        Reaction.SEND_NOTIFICATION
    ], "it stands in the example"


def test_the_failures_on_demand_are_those_of_the_sandbox() -> None:
    rows = README.read_text().partition("| kind | what the request meets |\n|---|---|\n")[2]
    named = [line.split("`")[1] for line in rows.partition("\n\n")[0].split("\n")]
    assert named == list(KINDS)


def test_the_secrets_that_may_stand_in_files_are_named() -> None:
    for variable in secret_variables():
        assert f"`{variable}_FILE`" in README.read_text()
