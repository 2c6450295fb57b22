"""A fake torch_musa (Moore Threads): the device `musa`."""

import torch
from fake_accelerator import Vendor, install

__version__ = "2.7.1"

_machine, musa = install(
    Vendor(
        device="musa",
        label="MUSA",
        name="MTT S5000",
        package="torch_musa",
        missing_library="libmusart.so",
        lost="MUSA error: an illegal memory access was encountered",
        graph="MUSAGraph",
        properties={"major": 3, "minor": 1, "multi_processor_count": 56},
        lacks=frozenset({"init"}),
    )
)
torch.version.musa = "4.3.0"
