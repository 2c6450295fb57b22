"""Makes PrivateUse1 the vendor's device, once in a process."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from fake_accelerator import factories
from fake_accelerator.interface import as_module
from fake_accelerator.machine import Machine
from fake_accelerator.settings import Settings, Vendor
from fake_accelerator.tensor import FakeTensor

_kept: list[Any] = []


def refuse_import(library: str) -> None:
    """Fail as a plugin does whose vendor library is not there, where that fault is asked for."""
    if os.environ.get("FAKE_IMPORT_ERROR") == "1":
        raise ImportError(f"{library}: cannot open shared object file: No such file or directory")


def install(vendor: Vendor) -> tuple[Machine, ModuleType]:
    """Register the device and return its machine and `torch.<device>`."""
    refuse_import(vendor.missing_library)
    taken = torch._C._get_privateuse1_backend_name()
    if taken != "privateuseone":
        raise RuntimeError(
            f"Two accelerators cannot be used at the same time in PyTorch: {vendor.device} and {taken}."
            " ERR00007 PTA feature not supported"
        )
    machine = Machine(vendor, Settings())
    module = as_module(machine)

    class Hook(torch._C._acc.PrivateUse1Hooks):
        def is_available(self) -> bool:
            return machine.settings.devices > 0

        def has_primary_context(self, dev_id: int) -> bool:
            return machine.initialized

        def is_built(self) -> bool:
            return True

    FakeTensor.machine = machine
    hook = Hook()
    _setup_privateuseone_for_python_backend(rename=vendor.device, backend_module=module, hook=hook)
    _kept.extend([factories.register(machine), hook])
    return machine, module
