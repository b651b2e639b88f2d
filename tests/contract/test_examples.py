"""Schema and decoder both accept each valid example, and both refuse each invalid one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from stream_app.contract.checking import Checker
from stream_app.contract.decoders import decoder_of
from stream_app.contract.records import RecordName
from stream_app.setting_groups import DetectorSettings
from tests.contract.write import EXAMPLES, SCHEMAS, examples

PERIODS = DetectorSettings().allowed_periods
FILES = sorted(EXAMPLES.glob("*/*.json"))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
KNOWN_UUIDS = {
    "00000000-1111-2222-3333-444444444444",  # a key that is none
    "43a29c5c-3dbf-4fa4-9c26-f4f71023e120",  # the service's own documented request id
}


def accepted_by(path: Path) -> dict[str, bool]:
    """Return who takes an example: the schema in both dialects, the decoder, `validate`."""
    name = RecordName(path.parent.name)
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    value = path.read_bytes()
    obj = json.loads(value)
    refusals = [found for _, _, found in decoder_of(name, PERIODS)(value, None) if found]
    return {
        "2020-12": jsonschema_rs.Draft202012Validator(schema).is_valid(obj),
        "draft-07": jsonschema_rs.Draft7Validator(
            {key: part for key, part in schema.items() if key != "$schema"}
        ).is_valid(obj),
        "decoder": refusals == [],
        "validate": Checker(name, PERIODS).check(value) == [],
    }


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}/{p.stem}" for p in FILES])
def test_schema_and_decoder_agree_on_an_example(path: Path) -> None:
    is_valid = path.stem.startswith("valid-")
    assert is_valid or path.stem.startswith("invalid-")
    assert set(accepted_by(path).values()) == {is_valid}, accepted_by(path)


@pytest.mark.parametrize("name", RecordName)
def test_each_record_has_examples_of_both_kinds(name: RecordName) -> None:
    assert examples(name, "valid")
    assert len(examples(name, "invalid")) >= 2
    assert {path.parent.name for path in FILES} == set(RecordName)


def test_no_example_holds_what_may_be_a_key() -> None:
    for path in FILES:
        assert set(UUID.findall(path.read_text())) <= KNOWN_UUIDS, path
