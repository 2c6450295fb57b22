"""A fake torch_gcu (Enflame): the device `gcu`."""

from fake_accelerator import Vendor, install

__version__ = "2.10.0"

_machine, gcu = install(
    Vendor(
        device="gcu",
        label="GCU",
        name="Enflame S60",
        package="torch_gcu",
        missing_library="libtopsrt.so",
        lost="GCU error: device is lost",
        graph="GCUGraph",
        properties={"major": 3, "minor": 0, "multi_processor_count": 24},
    )
)
