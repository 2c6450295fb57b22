"""The memory of a device: counted from the payloads that live, with an allocator that keeps what it freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch

if TYPE_CHECKING:
    from fake_accelerator.settings import Vendor

# Sizes are rounded as the caching allocators of torch do: blocks of 512 bytes, taken from the device in 2 MiB.
BLOCK, SEGMENT = 512, 2 * 2**20


def rounded(size: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-size // step) * step


class Block:
    """One payload's bytes, in use until nothing refers to it any more."""

    def __init__(self, memory: Memory, storage: Any) -> None:
        self.size = rounded(storage.nbytes(), BLOCK)
        self.memory = None
        memory.take(self.size)
        self.memory, self.storage = memory, storage

    def __del__(self) -> None:
        if self.memory is not None:
            self.memory.allocated -= self.size


class Memory:
    """allocated: bytes in use now; peak: most since the last reset; reserved: taken from the device and kept."""

    def __init__(self, vendor: Vendor, total: int, index: int) -> None:
        self.vendor, self.total, self.index = vendor, total, index
        self.allocated = self.peak = self.reserved = self.most_reserved = self.allocations = 0
        self.blocks: WeakValueDictionary[int, Block] = WeakValueDictionary()

    def check(self, size: int) -> None:
        """Raise the vendor's out-of-memory error where `size` more bytes do not fit."""
        if self.allocated + size > self.total:
            raise torch.OutOfMemoryError(
                f"{self.vendor.label} out of memory. Tried to allocate {size / 2**20:.2f} MiB"
                f" ({self.vendor.label} {self.index}; {self.total / 2**30:.2f} GiB total capacity;"
                f" {self.allocated / 2**30:.2f} GiB already allocated;"
                f" {(self.total - self.allocated) / 2**30:.2f} GiB free)"
            )

    def take(self, size: int) -> None:
        self.check(size)
        self.allocated += size
        self.allocations += 1
        self.peak = max(self.peak, self.allocated)
        # Free blocks are split and joined at will; only a full device gives back what it keeps.
        self.reserved = min(max(self.reserved, rounded(self.allocated, SEGMENT)), self.total)
        self.most_reserved = max(self.most_reserved, self.reserved)

    def block_of(self, raw: torch.Tensor) -> Block:
        """The block of a payload; views share one."""
        storage = raw.untyped_storage()
        block = self.blocks.get(storage._cdata)
        if block is None:
            block = Block(self, storage)
            self.blocks[storage._cdata] = block
        return block

    def empty_cache(self) -> None:
        self.reserved = min(rounded(self.allocated, SEGMENT), self.total)

    def stats(self) -> dict[str, int]:
        """A few of the keys that torch's allocators report."""
        return {
            "allocated_bytes.all.current": self.allocated,
            "allocated_bytes.all.peak": self.peak,
            "reserved_bytes.all.current": self.reserved,
            "reserved_bytes.all.peak": self.most_reserved,
            "allocation.all.allocated": self.allocations,
            "allocation.all.current": len(self.blocks),
        }
