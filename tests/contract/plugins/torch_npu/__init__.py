"""A fake torch_npu (Huawei Ascend): the device `npu` and the fused operators of torch-npu 2.13.0."""

import os

# As the real package does: torch must not load plugins while one of them is loading it.
_asked = os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD")
os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"

import torch  # noqa: E402
from fake_accelerator import Vendor, install  # noqa: E402

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
    os.environ.pop("TORCH_DEVICE_BACKEND_AUTOLOAD", None)
    if _asked is not None:
        os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = _asked


def _bind() -> None:
    from torch_npu import fused

    for name in fused.register(_machine):
        globals()[name] = getattr(torch.ops.npu, name)


_bind()
_autoload()
