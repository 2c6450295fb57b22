"""Writes fused calls down, one JSON line each: the name, what was given (shapes and types of tensors), what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from fake_accelerator.tensor import FakeTensor


def record(path: str | None, name: str, overload: str, given: dict[str, Any], out: Any) -> None:
    """Append a call to the file, if there is one."""
    if path is None:
        return
    line = {
        "operator": name,
        "overload": overload,
        "arguments": {key: described(value) for key, value in given.items()},
        "outputs": described(list(out) if isinstance(out, (tuple, list)) else [out]),
    }
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")


def described(value: Any) -> Any:
    """A value as JSON: a tensor is its shape and type, and its format where that is not plain."""
    if isinstance(value, torch.Tensor):
        told: dict[str, Any] = {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
        if isinstance(value, FakeTensor) and value.format != 2:
            told["format"] = value.format
        return told
    if isinstance(value, torch.dtype):
        return {"torch": str(value).removeprefix("torch.")}
    if isinstance(value, (list, tuple)):
        return [described(each) for each in value]
    return value
