"""The fake torch_npu's operators against the released wheel: schemas, argument names, output shapes. Downloads once."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from . import wheel_check
from .fakes import PLUGINS, environment, run_script

pytestmark = pytest.mark.slow

# The wheel has no meta kernel for them: their arguments are bound by its schemas, no more.
BOUND_ONLY = {"npu_format_cast", "get_npu_format", "npu_mla_prolog_v2"}


@pytest.fixture(scope="module")
def wheel():
    try:
        wheel_check.wheel_site()
    except wheel_check.Unavailable as reason:
        pytest.skip(str(reason))
    return wheel_check


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A file with one or more recorded calls of every fused operator."""
    folder = tmp_path_factory.mktemp("calls")
    done = run_script("ascend_calls.py", environment("torch_npu", folder / "site", FAKE_RECORD=folder / "calls.jsonl"))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "calls.jsonl"


def own_schemas():
    lines = (PLUGINS / "torch_npu" / "schemas.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def name_of(schema):
    return schema.removeprefix("npu::").split("(")[0].split(".")[0]


def test_the_fakes_schemas_are_the_wheels(wheel):
    found = wheel.wheel_schemas(sorted({name_of(schema) for schema in own_schemas()}))
    assert [schema for schema in own_schemas() if schema not in found[name_of(schema)]] == []


def test_every_call_of_the_fakes_operators_is_one_the_wheel_takes(wheel, calls):
    outcomes = wheel.check_calls(calls)
    assert [(o.operator, o.problems) for o in outcomes if o.status == "wrong"] == []
    assert {o.operator for o in outcomes if o.status == "bound"} <= BOUND_ONLY
    assert {o.operator for o in outcomes} == {name_of(s) for s in own_schemas()} - {"npu_format_cast_"}


def test_a_wrong_name_and_a_wrong_shape_are_caught(wheel, calls, tmp_path):
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    norm = next(line for line in lines if line["operator"] == "npu_rms_norm")
    misnamed = {**norm, "arguments": {**norm["arguments"], "eps": norm["arguments"]["epsilon"]}}
    misshapen = {**norm, "outputs": [{"shape": [1, 2], "dtype": "bfloat16"}, norm["outputs"][1]]}
    mistyped = {**norm, "outputs": [norm["outputs"][0], {**norm["outputs"][1], "dtype": "bfloat16"}]}
    untyped = {**norm, "arguments": {**norm["arguments"], "gamma": 3}}
    invented = {**norm, "operator": "npu_rms_norm_v9"}
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join(json.dumps(line) + "\n" for line in (misnamed, misshapen, mistyped, untyped, invented)))
    outcomes = wheel.check_calls(changed)
    assert [o.status for o in outcomes] == ["wrong"] * 5
    said = [o.problems[0] for o in outcomes]
    assert "unknown argument 'eps'; the wheel knows input, gamma, epsilon" in said[0]
    assert "output 0 was recorded as {'shape': [1, 2], 'dtype': 'bfloat16'}" in said[1]
    assert "output 1" in said[2]
    assert "gamma" in said[3]
    assert said[4] == "the wheel has no npu_rms_norm_v9"


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "x86_64"), ("Linux", "aarch64")])
def test_another_machine_is_a_reason(monkeypatch, system, machine):
    monkeypatch.setattr(wheel_check.platform, "system", lambda: system)
    monkeypatch.setattr(wheel_check.platform, "machine", lambda: machine)
    with pytest.raises(wheel_check.Unavailable, match=f"not {system} on {machine}"):
        wheel_check.wheel_site()


def test_no_compiler_and_no_network_are_reasons(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(wheel_check, "RELEASE", "2.13.0.invented")
    monkeypatch.setattr(wheel_check.platform, "system", lambda: "Linux")
    monkeypatch.setattr(wheel_check.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(wheel_check, "version", lambda name: "2.13.0")
    monkeypatch.setattr(wheel_check.shutil, "which", lambda name: None if name == "gcc" else f"/usr/bin/{name}")
    with pytest.raises(wheel_check.Unavailable, match="gcc is missing"):
        wheel_check.wheel_site()
    monkeypatch.setattr(wheel_check.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(wheel_check.Unavailable, match="cannot be downloaded"):
        wheel_check.wheel_site()
