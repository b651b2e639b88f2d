"""`stream-app cloud-ips` against the lists of the documented page, copied here on their own."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stream_app.cli.operations.cloud_ips import cloud_ips
from stream_app.domain.catalog.cloud_addresses import CLOUD_ADDRESSES
from stream_app.domain.configuration.clients import CLOUDS

DOCUMENTED = {
    "US": [
        "34.102.90.100",
        "34.94.156.115",
        "35.235.115.105",
        "34.94.85.217",
        "34.94.51.234",
        "34.102.59.122",
        "34.94.238.72",
        "35.235.100.79",
        "34.102.45.38",
        "34.94.241.21",
        "34.94.203.193",
        "34.94.238.221",
        "34.94.9.235",
        "34.94.118.150",
        "34.94.193.9",
    ],
    "EU": [
        "34.141.230.156",
        "34.91.138.113",
        "34.90.114.134",
        "35.204.127.78",
        "34.90.24.155",
        "34.7.147.149",
    ],
    "ME": ["34.166.215.174"],
}


def run(*args: str) -> str:
    done = CliRunner().invoke(cloud_ips, args)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_cloud_of_a_client_has_a_list_of_distinct_addresses() -> None:
    assert set(CLOUD_ADDRESSES) == set(CLOUDS)
    flat = [ip for ips in CLOUD_ADDRESSES.values() for ip in ips]
    assert len(set(map(ipaddress.IPv4Address, flat))) == len(flat) == 22


@pytest.mark.parametrize("cloud", ["US", "EU", "ME"])
def test_one_cloud_is_one_address_on_each_line(cloud: str) -> None:
    assert run("--cloud", cloud).splitlines() == DOCUMENTED[cloud]
    lines = run("--cloud", cloud, "--json").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"cloud": cloud, "address": ip} for ip in DOCUMENTED[cloud]
    ]


def test_all_clouds_are_a_table() -> None:
    head, *rows = (line.split() for line in run().splitlines())
    assert head == ["CLOUD", "ADDRESS"]
    assert rows == [[cloud, ip] for cloud, ips in DOCUMENTED.items() for ip in ips]
    found = [json.loads(line) for line in run("--json").splitlines()]
    assert [[row["cloud"], row["address"]] for row in found] == rows


def test_a_cloud_that_nobody_knows_is_a_usage_error() -> None:
    done = CliRunner().invoke(cloud_ips, ["--cloud", "AP"])
    assert done.exit_code == 2
    assert "'US', 'EU', 'ME'" in done.output


def test_the_command_needs_neither_kafka_nor_valid_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "cloud-ips", "--cloud", "ME"],
        env=os.environ | {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "STREAM_APP_X": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "34.166.215.174\n", "")
