from __future__ import annotations

import json

from click.testing import CliRunner

from stream_app.cli.configuration.secrets import secrets
from stream_app.key_ring import KeyRing


def test_a_generated_key_stands_alone_on_stdout_and_is_a_secret_key() -> None:
    done = CliRunner().invoke(secrets, ["generate"])
    assert done.exit_code == 0
    assert repr(KeyRing([done.stdout.removesuffix("\n")])) == "KeyRing(1 secret keys)"


def test_every_generated_key_is_different() -> None:
    keys = {
        json.loads(CliRunner().invoke(secrets, ["generate", "--json"]).stdout)["secret_key"]
        for _ in range(3)
    }
    assert len(keys) == 3
