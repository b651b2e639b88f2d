"""What the pages say of the code is so: their tables, commands and the example of an alert."""

from __future__ import annotations

import re

from stream_app.cli import COMMANDS
from stream_app.cli.configuration.yaml_values import load_all
from stream_app.domain.catalog.conditions import CONDITIONS, FILTERS, Evaluation, Reaction
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.episodes.episode import FiredWindow
from stream_app.domain.episodes.episode_log import tally
from stream_app.opsgenie.sandbox.fault import KIND_TEXTS
from stream_app.settings import FREE_PREFIXES, secret_variables, setting_fields
from tests.bench.__main__ import AT_LEAST, AT_MOST
from tests.documentation.pages import PAGES, ROOT, blocks, inline_code
from tests.documentation.tables import (
    METRICS_PAGE,
    SETTINGS_PAGE,
    metrics_table,
    settings_table,
)
from tests.unit.project.test_page_table import NAMED, rows

COMMANDS_PAGE, CONFIGURATION_PAGE = "deploy/commands.md", "schemas/configuration.md"
WRITE_TABLES = "run: python -m tests.documentation.tables"


def test_the_settings_table_is_that_of_the_code() -> None:
    assert settings_table() in PAGES[SETTINGS_PAGE], WRITE_TABLES


def test_the_metrics_table_is_that_of_the_code() -> None:
    assert metrics_table() in PAGES[METRICS_PAGE], WRITE_TABLES


def test_the_commands_are_those_of_the_command_line() -> None:
    text = PAGES[COMMANDS_PAGE]
    assert [name for name in COMMANDS if f"`stream-app {name}" not in text] == []


def test_the_conditions_and_reactions_are_those_of_the_code() -> None:
    text = PAGES[CONFIGURATION_PAGE]
    heading = "| `template_id` | notices | filters |\n|---|---|---|\n"
    table = text.partition(heading)[2].partition("\n\n")[0]
    cells = [row.strip("| ").split(" | ") for row in table.split("\n")]
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
        if row.evaluation is Evaluation.NOTICE_MATCHING
    }
    assert [name for name in (*CONDITIONS, *Reaction) if f"`{name}`" not in text] == [
        Reaction.SEND_NOTIFICATION
    ], "it stands in the example"


def test_the_failures_on_demand_are_those_of_the_sandbox() -> None:
    text = PAGES["deploy/testing-an-integration.md"]
    kinds = text.partition("| kind | what the request meets |\n|---|---|\n")[2]
    named = [line.split("`")[1] for line in kinds.partition("\n\n")[0].split("\n")]
    assert named == list(KIND_TEXTS)


def test_the_secrets_that_may_stand_in_files_are_named() -> None:
    for variable in secret_variables():
        assert f"`{variable}_FILE`" in PAGES[SETTINGS_PAGE]


def test_the_commands_variables_and_files_in_blocks_are_there() -> None:
    variables = {variable for variable, _ in setting_fields()}
    variables |= {f"{variable}_FILE" for variable in secret_variables()}
    typed = [body for page in PAGES.values() for kind, body in blocks(page) if kind != "text"]
    text = "\n".join(typed)
    named = {
        name for name in re.findall(r"STREAM_APP_\w+", text) if not name.startswith(FREE_PREFIXES)
    }
    assert named
    assert named <= variables
    commands = re.findall(r"(?:^|[ /])stream-app ([a-z][a-z-]*)(?= |$)", text, re.MULTILINE)
    assert commands
    assert set(commands) <= set(COMMANDS)
    # kubectl writes `deploy/NAME` for a Deployment.
    files = set(re.findall(r"(?<=[ =])deploy/(?!stream-app-)[\w@./-]+", text))
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    codes = [code for text in PAGES.values() for code in inline_code(text, "make ")]
    assert codes
    for code in codes:
        _, target, *variables = code.split()
        assert target in targets, code
        for variable in variables:
            assert (ROOT / variable.removeprefix("ARGS=")).exists(), code


def test_the_alert_is_the_documented_one() -> None:
    (alert,) = [text for language, text in blocks(PAGES["README.md"]) if language == "text"]
    documented = (ROOT / "tests/page/opsgenie-integration-page.md").read_text()
    assert re.sub(r"\d{10}", "XXXXXXXXXX", alert) in documented


def test_the_number_of_tests_of_the_product_s_page_is_right() -> None:
    count = sum(bool(NAMED.fullmatch(cell)) for _, cell in rows())
    assert f"in {count} sentences. Each has a test." in PAGES["README.md"]


def test_the_bounds_of_the_bench_are_those_of_the_code() -> None:
    table = PAGES["tests/bench/README.md"].partition("| bound |\n|---|---|\n")[2]
    assert table.partition("\n\n")[0].splitlines() == [
        *(f"| `{name}` | at least {bound} |" for name, bound in AT_LEAST.items()),
        *(f"| `{name}` | at most {bound} |" for name, bound in AT_MOST.items()),
    ]


def test_the_example_of_one_attack_is_right() -> None:
    page = PAGES["deploy/episodes.md"]
    example = re.search(r"```yaml\n(alert:.*?)```", page, re.DOTALL)
    assert example is not None
    (document,) = load_all(example[1])
    integration, problems = read_integration(document)
    assert [problem for problem in problems if problem.path.startswith("alert")] == []
    windows = [FiredWindow(second, second + 1) for second in range(600)]
    found = tally(windows, integration.repeats)
    assert f"{found.windows} windows: {found.first} alert, {found.repeats} repeat, " in page
    assert f"{found.folded} folded" in page
    assert f'"{found.folded // 2} more windows have fired since the one that began' in page
