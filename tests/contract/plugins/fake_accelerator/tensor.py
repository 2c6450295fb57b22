"""Tensors of the fake device: a shell with the device's name around a payload on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from fake_accelerator.graph import storage_key

if TYPE_CHECKING:
    from fake_accelerator.machine import Machine

aten = torch.ops.aten

# Their answer's shape or value depends on the data, so that the host has to wait for the device.
READ_BACK = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten._unique2.default, aten.unique_consecutive.default, aten.unique_dim.default, aten.bincount.default,
}  # fmt: skip
# They take indices from the CPU as well, and copy them.
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
ALLOCATING = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"}


class FakeTensor(torch.Tensor):
    """A tensor of the fake device. raw: its payload. block: the memory it keeps in use."""

    machine: Machine
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: torch.Tensor, index: int) -> FakeTensor:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[no-any-return]
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=torch.device(cls.machine.vendor.device, index),
        )  # fmt: skip

    def __init__(self, raw: torch.Tensor, index: int) -> None:
        memory = self.machine.memories[index]
        known = storage_key(raw) in memory.blocks
        self.raw, self.index, self.block = raw, index, memory.block_of(raw)
        self.format = 2  # FORMAT_ND: what only Ascend's tensors have a word for
        tape = self.machine.capturing
        if tape is not None and not known:
            tape.fresh[storage_key(raw)] = raw.untyped_storage()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"fake({self.raw!r}, device='{self.device}')"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")
        return self.cpu().numpy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.clone()

    def untyped_storage(self) -> Any:
        return self.raw.untyped_storage()

    def data_ptr(self) -> int:
        return self.raw.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(cls.machine, func, args, kwargs or {})


# Fused operators of the vendor: namespace -> what runs a call of it.
NAMESPACES: dict[str, Callable[[Any, Any, Any], Any]] = {}


def dispatch(machine: Machine, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operator that has at least one tensor of the device among its arguments."""
    machine.alive()
    if func.namespace in NAMESPACES:
        return NAMESPACES[func.namespace](func, args, kwargs)
    if func._can_decompose() and func is not aten.scaled_dot_product_attention.default:
        # Under inference_mode torch hands over what it takes apart otherwise; attention stays one kernel, as on the CPU.
        return func.decompose(*args, **kwargs)
    if func in (aten.copy_.default, aten._copy_from.default, aten._copy_from_and_resize.default):
        return copy(machine, func, args, kwargs)
    if func is aten._to_copy.default:
        return _to_copy(machine, args[0], kwargs)
    if func is aten.is_pinned.default:
        return False
    index = one_device(machine, func, args, kwargs)
    if func in READ_BACK or (func is aten.index.Tensor and _masked(args[1])):
        machine.host_reads(index, func.name())
    target = kwargs.get("device")
    if target is not None:
        kwargs = {**kwargs, "device": "cpu"}
    if func.is_view:
        return wrapped(func(*raws(args), **raws(kwargs)), index)
    if func._schema.name.removeprefix("aten::") in ALLOCATING:
        out = func(*raws(args), **raws(kwargs))
        return out if target is not None and torch.device(target).type == "cpu" else wrapped(out, index)
    return launch(machine, index, func, args, kwargs)


def launch(
    machine: Machine,
    index: int,
    func: Callable[..., Any],
    args: Any,
    kwargs: Any,
    writes: list[torch.Tensor] | None = None,
) -> Any:
    """Run a kernel on payloads: `func` takes and returns tensors of the CPU. writes: payloads that it changes."""
    a, k = raws(args), raws(kwargs)
    changed = _written(func, a, k) if writes is None else writes
    tape = machine.capturing
    if tape is not None:
        if machine.current_streams[index] != tape.stream:
            tape.spoilt = True
            raise RuntimeError(f"{machine.vendor.label} error: a kernel on another stream than the one that captures")
        for raw in changed:
            tape.keep(raw)
    shapes = [(raw, raw.shape) for raw in changed]
    try:
        result = machine.run(index, lambda: func(*a, **k))
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            raise torch.OutOfMemoryError(f"{machine.vendor.label} out of memory.") from None
        raise
    if any(raw.shape != shape for raw, shape in shapes):
        raise NotImplementedError(f"the fake device cannot resize: {func}")
    own = {id(t.raw): t for t in tree_leaves((args, kwargs)) if isinstance(t, FakeTensor)}
    out = wrapped(result, index, own)
    if tape is not None:
        tape.add(index, func, a, k, raws(out))
    return out


def raws(tree: Any) -> Any:
    """A tree with payloads in the place of the device's tensors."""
    return tree_map(lambda leaf: leaf.raw if isinstance(leaf, FakeTensor) else leaf, tree)


def wrapped(tree: Any, index: int, own: dict[int, FakeTensor] | None = None) -> Any:
    """A tree with the device's tensors in the place of payloads; those in `own` keep theirs."""

    def wrap(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return own[id(leaf)] if own and id(leaf) in own else FakeTensor(leaf, index)

    return tree_map(wrap, tree)


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """Payloads that an operator changes, by its schema."""
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = kwargs.get(argument.name, args[place] if place < len(args) else None)
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]
    return found


def one_device(machine: Machine, func: Any, args: Any, kwargs: Any) -> int:
    """The one device of all arguments; raises where they are on several, as every device does."""
    places: dict[str, int] = {}
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, FakeTensor):
            places[str(leaf.device)] = leaf.index
        elif isinstance(leaf, torch.Tensor) and leaf.dim() > 0:
            if func in INDEXING and leaf.dtype in (torch.int64, torch.bool):
                machine.not_while_capturing("indices on the CPU")
            else:
                places["cpu"] = -1
    if len(places) > 1:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {' and '.join(sorted(places))}!"
            f" (when checking arguments of {func})"
        )
    return next(iter(places.values()), machine.current)


def _masked(indices: Any) -> bool:
    return any(isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8) for i in indices)


def _to_copy(machine: Machine, source: Any, kwargs: dict[str, Any]) -> Any:
    """`.to(...)`: to another type, to the CPU, from the CPU, or to another device of this vendor."""
    target = kwargs.get("device")
    options = {key: kwargs[key] for key in ("dtype", "memory_format") if kwargs.get(key) is not None}
    if isinstance(source, FakeTensor):
        there = source.device if target is None else torch.device(target)
        if there.type == machine.vendor.device and machine.index_of(there) == source.index:
            return launch(machine, source.index, aten._to_copy.default, (source,), options)
        if there.type == "cpu":
            machine.host_reads(source.index, "copy to the CPU")
            copied: torch.Tensor = machine.run(source.index, lambda: aten._to_copy.default(source.raw, **options))
            return copied
        machine.host_reads(source.index, "copy to another device")
        source = source.raw
    return from_host(machine, source, machine.index_of(target), options)


def from_host(machine: Machine, source: torch.Tensor, index: int, options: dict[str, Any]) -> FakeTensor:
    """A copy of a CPU tensor on the device."""
    machine.alive()
    _unpinned(machine)
    machine.memories[index].check(source.numel() * source.element_size())
    made = FakeTensor(machine.run(index, lambda: aten._to_copy.default(source, **options)), index)
    machine.current_streams[index].wait_here(honest=True)
    return made


def _unpinned(machine: Machine) -> None:
    if machine.capturing is not None:
        machine.capturing.spoilt = True
        raise RuntimeError(
            f"Cannot copy between CPU and {machine.vendor.label} tensors during graph capture unless the CPU tensor is pinned."
        )


def copy(machine: Machine, func: Any, args: Any, kwargs: Any) -> Any:
    """`copy_` between any two places."""
    target, source = (args[0], args[1]) if func is aten.copy_.default else (args[1], args[0])
    if not isinstance(target, FakeTensor):  # to the CPU
        machine.host_reads(source.index, "copy to the CPU")
        machine.run(source.index, lambda: target.copy_(source.raw))
        return target
    if isinstance(source, FakeTensor) and source.index == target.index:
        return launch(machine, target.index, aten.copy_.default, (target, source), {})
    if source.dim() == 0 and not isinstance(source, FakeTensor):  # a number travels with the kernel
        return launch(machine, target.index, aten.fill_.Tensor, (target, source), {})
    if isinstance(source, FakeTensor):
        machine.host_reads(source.index, "copy to another device")
    _unpinned(machine)
    raw = source.raw if isinstance(source, FakeTensor) else source
    machine.run(target.index, lambda: target.raw.copy_(raw))
    machine.current_streams[target.index].wait_here(honest=True)
    return target
