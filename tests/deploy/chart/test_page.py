"""The page of the chart shows values that it takes, and names that it gives."""

from __future__ import annotations

import re

import yaml

from tests.deploy.chart.rendering import MINIMAL, Chart, Rendering, merged
from tests.deploy.chart.written_files import CHART
from tests.documentation.pages import PAGES, ROOT, blocks

PAGE = PAGES["deploy/kubernetes.md"]
VALUES = [text for _, text in blocks(PAGE) if re.match(r"\w+:$", text.partition("\n")[0])]
COMMANDS = [
    line.strip()
    for _, text in blocks(PAGE)
    if text not in VALUES
    for line in text.replace("\\\n", " ").splitlines()
]


def test_its_first_values_are_those_that_everybody_must_say() -> None:
    assert yaml.safe_load(VALUES[0]) == MINIMAL


def test_its_values_are_taken(chart: Chart) -> None:
    assert len(VALUES) == 4
    values = dict(MINIMAL)
    for text in VALUES:
        values = merged(values, yaml.safe_load(text))
    before = chart.render()
    rendering = chart.render(values)
    kinds = {one["kind"] for one in rendering.manifests} - {one["kind"] for one in before.manifests}
    assert kinds == {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


def test_its_commands_name_what_the_chart_gives(minimal: Rendering) -> None:
    names = {f"deploy/{one['metadata']['name']}" for one in minimal.of_kind("Deployment")}
    names |= {f"job/{one['metadata']['name']}" for one in minimal.of_kind("Job")}
    named = set(re.findall(r"(?:deploy|job)/stream-app-\w+", PAGE))
    assert named == names
    (install,) = [line for line in COMMANDS if line.startswith("helm ")]
    assert install.split()[4] == CHART.relative_to(ROOT).as_posix()
    (secret,) = [line for line in COMMANDS if "create secret" in line]
    source = MINIMAL["secrets"]["STREAM_APP_SECRET_KEYS"]
    assert f"generic {source['secret']} " in secret
    assert f"--from-literal={source['key']}=" in secret


def test_the_values_that_it_names_are_there() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(r"`((?:\w+\.)+\w+)`", PAGE)
    paths = [name for name in named if not name.endswith((".yaml", ".json", ".crt", ".key"))]
    assert paths
    for path in paths:
        value = defaults
        for part in path.split("."):
            # What a component has, any of them has.
            value = value["operator"] if part == "serviceAccount" else value
            assert part in value, path
            value = value[part]
