"""A fake accelerator: a PrivateUse1 device written in Python, asynchronous, with a memory, graphs and faults.

A vendor's fake package calls `install(Vendor(...))` once in a process. Payloads live on the CPU; what a device does later
than the host asks for it, this one does at once and *reckons* later, on a clock of its own.

Environment:
    FAKE_DEVICES=N            how many devices (1)
    FAKE_NO_DEVICE=1          the plugin imports, but there is no device
    FAKE_IMPORT_ERROR=1       importing the plugin fails like a missing vendor library
    FAKE_DEVICE_NAME=TEXT     what get_device_name says
    FAKE_MEMORY_BYTES=N       memory of each device (4 GiB)
    FAKE_CACHE_BYTES=N        last-level cache in the properties of those that have one (npu 192 MiB, fakegpu 50 MiB)
    FAKE_OP_SECONDS=X         device time of each kernel; unset: 100 us and twice what the CPU needed
    FAKE_CLOCK=lies|stuck|unsynchronized   elapsed_time a tenth of the truth | always 0 | synchronize returns at once
    FAKE_LOST_AFTER=N         the device is lost after N kernels
    FAKE_MISSING_OP=A,B       these fused operators are absent
    FAKE_MISSING_API=A,B      these functions of torch.<device> are absent (get_device_name, mem_get_info, graph, ...)
    FAKE_RECORD=PATH          every fused call appends a JSON line
"""

from fake_accelerator.install import install, refuse_import
from fake_accelerator.settings import Vendor

__all__ = ["Vendor", "install", "refuse_import"]
