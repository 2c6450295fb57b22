"""A fake torch_txda (Tsingmicro): the device `txda`, without graphs and without a word on memory in use."""

from fake_accelerator import Vendor, install

__version__ = "0.1.0"

_machine, txda = install(
    Vendor(
        device="txda",
        label="TXDA",
        name="TX8110",
        package="torch_txda",
        missing_library="libtx8_runtime.so",
        lost="TXDA error: device is lost",
        memory=False,
        lacks=frozenset({"init"}),
    )
)
