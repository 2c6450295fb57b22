"""What makes tensors on the device from nothing: the operators that torch looks up under PrivateUse1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from fake_accelerator.tensor import FakeTensor, aten, copy, launch

if TYPE_CHECKING:
    from fake_accelerator.machine import Machine

EMPTY = (aten.empty.memory_format, aten.empty_strided.default)
FILLED = (
    aten.arange.default, aten.arange.start, aten.arange.start_step, aten.linspace.default, aten.eye.default,
    aten.eye.m, aten.randperm.default, aten.full.default, aten.scalar_tensor.default,
)  # fmt: skip


def register(machine: Machine) -> Any:
    """Register the factories; the library must be kept."""
    library = torch.library.Library("aten", "IMPL")

    def name(op: Any) -> str:
        overload = op._schema.overload_name
        return op._schema.name + (f".{overload}" if overload else "")  # type: ignore[no-any-return]

    def empty(op: Any) -> Any:
        def make(
            size: Any, *args: Any, device: Any = None, layout: Any = None, pin_memory: Any = None, **options: Any
        ) -> Any:
            machine.alive()
            index = machine.index_of(device)
            element = torch.empty(0, dtype=options.get("dtype")).element_size()
            machine.memories[index].check(math.prod(size) * element)
            return FakeTensor(op(size, *args, device="cpu", **options), index)

        return make

    def filled(op: Any) -> Any:
        def kernel(*args: Any, **options: Any) -> torch.Tensor:
            made: torch.Tensor = op(*args, device="cpu", **options)
            return made

        def make(*args: Any, device: Any = None, layout: Any = None, pin_memory: Any = None, **options: Any) -> Any:
            machine.alive()
            return launch(machine, machine.index_of(device), kernel, args, options, writes=[])

        return make

    def copy_from(source: Any, target: Any, non_blocking: bool = False) -> Any:
        return copy(machine, aten.copy_.default, (target, source), {})

    for op in EMPTY:
        library.impl(name(op), empty(op), "PrivateUse1")
    for op in FILLED:
        library.impl(name(op), filled(op), "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return library
