"""An unknown command or kind is answered with what may be meant."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stream_app.cli import cli


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stauts", "No such command 'stauts'. Did you mean `stream-app status` or "),
        ("alert list", "Did you mean `stream-app alerts`?"),
        ("trigger show 1", "Did you mean `stream-app triggers` or `stream-app get triggers`?"),
        ("clients", "Did you mean `stream-app get clients`?"),
        ("alerts lst", "Did you mean `stream-app alerts list`?"),
        ("kafka strat", "Did you mean `stream-app kafka start`"),
        ("triggers list", "Did you mean `stream-app get triggers`?"),
        ("triggers show 1", "Did you mean `stream-app get triggers`?"),
        ("triggers delete 1", "Did you mean `stream-app delete triggers`?"),
        ("integrations show 521", "Did you mean `stream-app get integrations`?"),
        ("get trigger 1", "Did you mean 'triggers'?"),
        ("delete client 1", "Did you mean 'clients'?"),
    ],
)
def test_what_may_be_meant_is_named(line: str, said: str) -> None:
    done = CliRunner().invoke(cli, line.split(), prog_name="stream-app")
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("line", ["paint", "alerts paint", "get things", "--paint", "alerts -p"])
def test_where_nothing_is_alike_nothing_is_guessed(line: str) -> None:
    done = CliRunner().invoke(cli, line.split(), prog_name="stream-app")
    assert done.exit_code == 2
    assert "Did you mean" not in done.stderr
