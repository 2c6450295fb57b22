"""A device `fakegpu` with the interface of torch.cuda, for what holds for every CUDA-like device."""

from fake_accelerator import Vendor, install

__version__ = "1.0"

_machine, fakegpu = install(
    Vendor(
        device="fakegpu",
        label="CUDA",
        name="NVIDIA H100 80GB HBM3",
        package="fake_gpu",
        missing_library="libcudart.so.12",
        lost="CUDA error: an illegal memory access was encountered",
        graph="CUDAGraph",
        properties={"major": 9, "minor": 0, "multi_processor_count": 132, "L2_cache_size": 50 * 2**20},
    )
)
