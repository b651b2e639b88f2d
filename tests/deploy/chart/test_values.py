"""Every value does something and gives valid manifests; a wrong one is refused, and says where."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.deploy.chart.flips import (
    DEFAULTS,
    LEAVES,
    Path,
    describe,
    maps,
    nodes,
    others,
    resolved,
    value_at,
)
from tests.deploy.chart.kubernetes_schemas import VERSIONS, problems
from tests.deploy.chart.rendering import MINIMAL, Chart, ChartError, Rendering, merged, with_value

PARTS = sorted({path[:2] if path[0] in {"detector", "notifier", "operator"} else path[:1]
                for path in LEAVES})  # fmt: skip


@functools.cache
def everything() -> dict[str, Any]:
    """Return values with all of them set, and all switches on."""
    result: dict[str, Any] = dict(MINIMAL)
    for path in LEAVES:
        value = True if isinstance(value_at(DEFAULTS, path), bool) else others(path)[0]
        result = with_value(result, path, value)
    # A digest goes before a tag, and without pods' own accounts there is nothing to name.
    return with_value(with_value(result, ("image", "digest"), ""), ("topics", "by"), "strimzi")


@pytest.fixture(scope="session")
def bases(chart: Chart) -> list[tuple[dict[str, Any], Rendering]]:
    """Return the least and the most values, and what is made of them."""
    return [(values, chart.render(values)) for values in (dict(MINIMAL), everything())]


def all_problems(rendering: Rendering) -> list[str]:
    """Return what is wrong with the manifests, by each version of Kubernetes."""
    return [
        f"{version}: {wrong}"
        for version in VERSIONS
        for manifest in rendering.manifests
        for wrong in problems(manifest, version)
    ]


def test_what_helm_lint_says_of_the_chart(chart: Chart) -> None:
    assert chart.lint(MINIMAL) == []
    assert chart.lint(everything()) == []


def test_a_manifest_with_an_unknown_field_is_found(minimal: Rendering) -> None:
    (job,) = minimal.of_kind("Job")
    wrong = with_value(job, ("spec", "template", "spec", "enableServiceLink"), value=False)
    for version in VERSIONS:
        (problem,) = problems(wrong, version)
        assert "enableServiceLink" in problem


def test_with_all_values_set_the_manifests_are_valid(chart: Chart) -> None:
    rendering = chart.render(everything())
    assert all_problems(rendering) == []
    kinds = {manifest["kind"] for manifest in rendering.manifests}
    assert {"ServiceMonitor", "PrometheusRule", "KafkaTopic", "NetworkPolicy", "ConfigMap"} <= kinds


@pytest.mark.parametrize("name", ["12", "1.5e3", "true", "a" * 53])
def test_a_release_of_any_name_has_valid_manifests(name: str, chart: Chart) -> None:
    # What looks like a number or a truth value in YAML is a text all the same.
    assert all_problems(chart.render(everything(), name=name)) == []


@pytest.mark.parametrize("part", PARTS, ids=describe)
def test_each_other_value_changes_valid_manifests(
    part: Path, chart: Chart, bases: Sequence[tuple[dict[str, Any], Rendering]]
) -> None:
    for path in (path for path in LEAVES if path[: len(part)] == part):
        values = others(path)
        assert values, f"{describe(path)} has no example"
        changes = []
        for base, before in bases:
            # One of them may be what the base has.
            new = [value for value in values if value != value_at(base, path)]
            renderings = [chart.render(with_value(base, path, value)) for value in new]
            wrong = [problem for rendering in renderings for problem in all_problems(rendering)]
            assert wrong == [], f"{describe(path)} of {values}"
            texts = {rendering.text for rendering in (before, *renderings)}
            changes.append(len(texts) == len(new) + 1)
        assert any(changes), f"{describe(path)} changes nothing"


@pytest.mark.parametrize("path", list(maps()), ids=describe)
def test_a_name_that_is_no_value_is_refused(path: Path, chart: Chart) -> None:
    with pytest.raises(ChartError, match="'notAValue'"):
        chart.render(with_value(MINIMAL, (*path, "notAValue"), 1))


def test_a_value_of_another_type_is_refused(chart: Chart) -> None:
    for path, schema in LEAVES.items():
        wrong: Any = ["a list"] if resolved(schema).get("type") != "array" else {"a": "map"}
        with pytest.raises(ChartError, match=path[-1].replace(".", r"\.")):
            chart.render(with_value(MINIMAL, path, wrong))


def test_a_default_that_is_taken_away_is_refused(chart: Chart) -> None:
    # A null in values takes a default away, which a template would show as nothing.
    # Only a setting, a request or a limit, and the user may be left to others.
    paths = [path for path, _ in nodes() if value_at(DEFAULTS, path) is not None]
    needed = [path for path in paths if path and path[0] not in {"config", "runAsUser"}]
    for path in (path for path in needed if "resources" not in path[:-1]):
        with pytest.raises(ChartError, match=path[-1].replace(".", r"\.")):
            chart.render(with_value(MINIMAL, path, None))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"repository": ""}}, "/image/repository"),
        ({"config": {"STREAM_APP_KAFKA__BOOTSTRAP_SERVER": "a:1"}}, "BOOTSTRAP_SERVER'"),
        ({"config": {"STREAM_APP_LOG__LEVEL": "loud"}}, "/config/STREAM_APP_LOG__LEVEL"),
        ({"config": {"STREAM_APP_SECRET_KEYS": "in the clear"}}, "'STREAM_APP_SECRET_KEYS'"),
        ({"detector": {"config": {"STREAM_APP_TOPIC_PREFIX": "a."}}}, "'STREAM_APP_TOPIC_PREFIX'"),
        ({"secrets": {"STREAM_APP_SECRET_KEYS": "in the clear"}}, "STREAM_APP_SECRET_KEYS"),
        ({"secrets": {"STREAM_APP_KAFKA__SASL_PASSWORD": {"secret": "a"}}}, "'key'"),
        ({"files": {"STREAM_APP_KAFKA__SSL_CAFILE": {"key": "a"}}}, "SSL_CAFILE"),
        ({"apiKeys": {"../acme": {"secret": "a", "key": "b"}}}, "../acme"),
        ({"env": {"STREAM_APP_LOG__LEVEL": "info"}}, "STREAM_APP_LOG__LEVEL"),
        ({"detector": {"replicas": "two"}}, "/detector/replicas"),
        ({"networkPolicy": {"kafkaPorts": ["kafka"]}}, "/networkPolicy/kafkaPorts"),
        ({"topics": {"by": "hand"}}, "/topics/by"),
    ],
)
def test_a_wrong_value_is_named(values: Mapping[str, Any], said: str, chart: Chart) -> None:
    with pytest.raises(ChartError) as caught:
        chart.render(merged(MINIMAL, values))
    assert said in str(caught.value)


def test_what_everybody_must_say_is_asked_for(chart: Chart) -> None:
    with pytest.raises(ChartError) as caught:
        chart.render({})
    for name in ("repository", "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"):
        assert name in str(caught.value)
