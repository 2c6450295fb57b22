"""A fake torch_npu (Huawei Ascend): the device `npu` and the fused operators of torch-npu 2.13.0."""

import torch
from fake_accelerator import Vendor, install

__version__ = "2.13.0"

# What torch-npu 2.13.0 binds of a device's properties, as far as a measurement may want it.
_machine, npu = install(
    Vendor(
        device="npu",
        label="NPU",
        name="Ascend910B3",
        package="torch_npu",
        missing_library="libhccl.so",
        lost="npuSynchronizeDevice: NPU function error: aclrtSynchronizeDevice, error code is 507899 (device is lost)",
        graph="NPUGraph",
        properties={"cube_core_num": 20, "vector_core_num": 40, "L2_cache_size": 192 * 2**20},
    )
)
torch.version.cann = "8.5.0"


def _autoload() -> None:
    """What `import torch` calls where this package is installed (entry point `torch.backends`)."""


def _bind() -> None:
    from torch_npu import fused

    for name in fused.register(_machine):
        globals()[name] = getattr(torch.ops.npu, name)


_bind()
