"""Private formats: the fake keeps the values as they are and remembers only the format's number."""

from __future__ import annotations

from typing import Any

from fake_accelerator.machine import Machine
from fake_accelerator.tensor import FakeTensor, aten, launch

ND, NZ = 2, 29
KNOWN = {ND, NZ}


def format_cast(machine: Machine, index: int, input: FakeTensor, acl_format: Any = None, **more: Any) -> FakeTensor:
    """A copy of the tensor in a format; `dst` or `src` may be a tensor whose format is taken."""
    wanted = _wanted(acl_format, more)
    _check(input, wanted)
    cast: FakeTensor = launch(machine, index, aten.clone.default, (input,), {})
    cast.format = wanted
    return cast


def format_cast_(machine: Machine, index: int, input: FakeTensor, acl_format: Any = None, **more: Any) -> FakeTensor:
    """The same in place."""
    wanted = _wanted(acl_format, more)
    _check(input, wanted)
    launch(machine, index, aten.copy_.default, (input, input), {})
    input.format = wanted
    return input


def get_npu_format(machine: Machine, index: int, input: FakeTensor) -> int:
    """The number of a tensor's format."""
    return input.format


def _wanted(acl_format: Any, more: dict[str, Any]) -> int:
    given = more.pop("dst", more.pop("src", acl_format))
    if any(value is not None for value in more.values()):
        raise NotImplementedError(f"the fake npu_format_cast does not know {more}")
    return int(given.format if isinstance(given, FakeTensor) else given)


def _check(input: FakeTensor, wanted: int) -> None:
    if wanted not in KNOWN:
        raise NotImplementedError(f"the fake npu_format_cast knows the formats {sorted(KNOWN)}, not {wanted}")
    if wanted == NZ and input.dim() < 2:
        raise RuntimeError("npu_format_cast: FRACTAL_NZ needs at least two dimensions. ERR01001 OPS invalid parameter")


OPERATORS = {"npu_format_cast": format_cast, "npu_format_cast_": format_cast_, "get_npu_format": get_npu_format}
