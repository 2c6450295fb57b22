"""The fused operators: torch binds a call by the released wheel's schemas, then its definition runs on the payloads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fake_accelerator.machine import Machine
from fake_accelerator.tensor import NAMESPACES, FakeTensor, launch, one_device
from torch.utils._pytree import tree_leaves

from torch_npu import attention, experts, formats, latent, matmul, pointwise
from torch_npu.recorder import record

MODULES = (attention, experts, latent, matmul, pointwise)
DEFINITIONS: dict[str, Callable[..., Any]] = {name: f for module in MODULES for name, f in module.OPERATORS.items()}
# What an operator changes although its schema does not say so.
WRITES = {"npu_mla_prolog_v2": ("kv_cache", "kr_cache"), "npu_kv_rmsnorm_rope_cache": ("k_cache", "ckv_cache")}
# Weights that an operator takes in one format only.
FRACTAL_NZ = dict.fromkeys(("npu_mla_prolog_v2", "npu_mla_prolog_v3"), ("weight_dq", "weight_uq_qr", "weight_dkv_kr"))

_kept: list[Any] = []


def schemas() -> list[str]:
    """Return the schemas as the wheel prints them."""
    lines = (Path(__file__).parent / "schemas.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def register(machine: Machine) -> list[str]:
    """Define the operators of `torch.ops.npu` that are not asked to be missing; return their names."""
    library = torch.library.Library("npu", "DEF")
    _kept.append(library)
    names = []
    for schema in schemas():
        text = schema.removeprefix("npu::")
        name = text.split("(")[0].split(".")[0]
        if name not in machine.settings.missing:
            library.define(text)
            names.append(name)
    NAMESPACES["npu"] = lambda func, args, kwargs: run(machine, func, args, kwargs)
    return sorted(set(names))


def run(machine: Machine, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one call and write it down."""
    name = func._schema.name.removeprefix("npu::")
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    index = one_device(machine, func, args, kwargs)
    if name in formats.OPERATORS:
        out = formats.OPERATORS[name](machine, index, **given)
    else:
        for weight in FRACTAL_NZ.get(name, ()):
            if given[weight].format != formats.NZ:
                raise RuntimeError(
                    f"{name}: {weight} must be in FRACTAL_NZ (npu_format_cast, 29). ERR01100 OPS call acl api failed"
                )
        definition = DEFINITIONS[name]
        understood = _understood(func._schema, definition, given)
        writes = [
            leaf.raw for key in WRITES.get(name, ()) for leaf in tree_leaves(given[key]) if isinstance(leaf, FakeTensor)
        ]
        out = launch(machine, index, definition, (), understood, writes=writes or _mutated(func._schema, given))
    record(machine.settings.record, name, func._schema.overload_name, given, out)
    return out


def _understood(schema: Any, definition: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a definition knows; any other that is not at its default is refused."""
    known = inspect.signature(definition).parameters
    default = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    for key, value in given.items():
        if key not in known and value is not None and value != default.get(key):
            raise NotImplementedError(f"the fake {schema.name} does not know what {key}={value!r} does")
    return {key: value for key, value in given.items() if key in known}


def _mutated(schema: Any, given: dict[str, Any]) -> list[torch.Tensor]:
    marked = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [given[name].raw for name in marked if isinstance(given.get(name), FakeTensor)]
