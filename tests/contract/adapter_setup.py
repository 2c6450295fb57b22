"""One adapter on one fake device, in this process: opened without a second process, with tiny workloads to measure."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from bench.devices import accelerator, adapter, cpu, detect, probe
from bench.measure import launch
from bench.measure.worker import guarded
from bench.operators import noise
from bench.workloads.sweep import select_cases

# A prime, so that no two rows of a weight are alike; 60 times smaller than the real pool.
noise.POOL = 65_521
CPU = "cpu"
CUDA_LIKE = ("nvidia", "hygon")
HIP = "6.3.42134"

MODELS = {
    "tiny-dense": "layers = 2\nhidden = 64\nheads = 4\nkv_heads = 2\nhead_dim = 16\nintermediate = 96\nvocab = 97\n",
    "tiny-moe": "layers = 2\nhidden = 64\nheads = 4\nkv_heads = 2\nhead_dim = 16\nintermediate = 96\nvocab = 97\n"
    "[moe]\nexperts = 8\ntop_k = 2\nintermediate = 32\nfirst_dense_layers = 1\n",
    "sliding": "layers = 2\nhidden = 64\nheads = 4\nkv_heads = 2\nhead_dim = 16\nintermediate = 96\nvocab = 97\n"
    "sliding_window = 4\n",
    # The latent attention that vendors' kernels are made for: rank 512, heads of 128, 64 of them turned.
    "latent": "layers = 1\nhidden = 64\nheads = 32\nintermediate = 96\nvocab = 97\n"
    "[mla]\nq_lora_rank = 48\nkv_lora_rank = 512\nqk_nope_dim = 128\nqk_rope_dim = 64\nv_head_dim = 128\n",
}
WORKLOADS = {
    "decode": 'phase = "decode"\nmodel = "tiny-dense"\nbatch = 2\ncontext = 16\n',
    "experts": 'phase = "decode"\nmodel = "tiny-moe"\nbatch = 3\ncontext = 16\n',
    "prefill": 'phase = "prefill"\nmodel = "tiny-dense"\nbatch = 2\ninput_len = 12\n',
    "prefix": 'phase = "prefill"\nmodel = "tiny-dense"\nbatch = 2\ninput_len = 6\nprefix = 10\n',
    "sliding-prefill": 'phase = "prefill"\nmodel = "sliding"\nbatch = 2\ninput_len = 12\n',
    "sliding-decode": 'phase = "decode"\nmodel = "sliding"\nbatch = 2\ncontext = 16\n',
    "latent-decode": 'phase = "decode"\nmodel = "latent"\nbatch = 2\ncontext = 256\n',
    "latent-prefill": 'phase = "prefill"\nmodel = "latent"\nbatch = 2\ninput_len = 12\n',
    "product": 'phase = "kernel"\nkernel = "gemm"\npoints = [{ m = 4, n = 64, k = 64 }]\n',
    "layer": 'phase = "moe"\nmodel = "tiny-moe"\ntokens = 8\n',
    "grouped": 'phase = "kernel"\nkernel = "grouped_gemm"\npoints = [{ m = 8, n = 64, k = 64, experts = 4, top_k = 2 }]\n',
    "heads": 'phase = "kernel"\nkernel = "batched_gemm"\npoints = [{ m = 4, heads = 2, n = 128, k = 128 }]\n',
    "norm": 'phase = "kernel"\nkernel = "rms_norm"\npoints = [{ m = 4, n = 64 }]\n',
    "copy": 'phase = "kernel"\nkernel = "memory_copy"\npoints = [{ n = 640 }]\n',
    "prompt": 'phase = "kernel"\nkernel = "attention_prefill"\n'
    "points = [{ batch = 1, context = 24, heads = 4, kv_heads = 2, head_dim = 32 }]\n",
    "token": 'phase = "kernel"\nkernel = "attention_decode"\n'
    "points = [{ batch = 2, context = 24, heads = 4, kv_heads = 2, head_dim = 32 }]\n",
    "latent-token": 'phase = "kernel"\nkernel = "mla_decode"\n'
    "points = [{ batch = 2, context = 32, heads = 4, kv_lora_rank = 32, qk_rope_dim = 16 }]\n",
    "several": 'phase = "kernel"\nkernel = "all_reduce"\npoints = [{ n = 64, ranks = 2 }]\n',
}


def stand_in_a_project() -> None:
    """Change to a new folder with tiny models and workloads."""
    folder = Path(tempfile.mkdtemp(prefix="contract-"))
    (folder / "workloads" / "models").mkdir(parents=True)
    for name, text in MODELS.items():
        head = f'name = "{name}"\nsource = "a test"\narchitecture = "test"\n'
        (folder / "workloads" / "models" / f"{name}.toml").write_text(head + text)
    for name, text in WORKLOADS.items():
        (folder / "workloads" / f"{name}.toml").write_text(f'summary = "{name}"\n{text}time_s = 0.02\n')
    os.chdir(folder)


def case_of(workload: str, dtype: str = "bf16", **overrides: Any) -> Any:
    """The one case of a workload of this folder."""
    (case,) = select_cases([workload], {"dtype": [dtype], **overrides})
    return case


def opened(name: str) -> Any:
    """Return the adapter of a vendor over its fake plugin; those of torch.cuda go over the device that is like it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    # A quarter of what is checked on a machine that measures: 25 rows of a vendor are to take seconds.
    launch.CHECKED_S = 0.005
    # Small caches: without a word of torch's on it, 192 MiB would be flushed before every run, and 64 copies made.
    accelerator.UNKNOWN_CACHE_BYTES = cpu.LARGEST_CACHE_BYTES = 2**12
    # Which sheet describes a device is looked up for every row, in 45 files.
    accelerator.match_sheet = lru_cache(accelerator.match_sheet)
    cls: Any = adapter.adapter_classes()[name]
    if name == CPU:
        return cls(0)
    if name in CUDA_LIKE:
        cls = type(cls.__name__, (cls,), {"family": "fakegpu", "plugin": "fake_gpu"})
    found: dict[str, Any] = {"family": cls.family, "runtime": {}, "devices": []}
    version: Any = torch.version
    version.hip = HIP if name == "hygon" else None
    probe._ask(found, cls.family, cls.plugin)
    version.hip = None
    detect.recall(json.dumps([found]).encode())
    adapter.adapter_classes = lambda: {name: cls}  # type: ignore[assignment]
    return cls(0)


def machine() -> Any:
    """The fake machine behind torch.<family>."""
    from fake_accelerator.tensor import FakeTensor

    return FakeTensor.machine


@contextmanager
def faulty(**settings: Any) -> Any:
    """Let the fake device misbehave: `clock`, `op_seconds`, `lost_after` (kernels from now on)."""
    own = machine()
    if settings.get("lost_after") is not None:
        settings["lost_after"] += own.kernels
    before = {key: getattr(own.settings, key) for key in settings}
    vars(own.settings).update(settings)
    try:
        yield own
    finally:
        vars(own.settings).update(before)


@contextmanager
def changed(place: Any, name: str, value: Any) -> Any:
    """Let an attribute be another, or none where `value` is ...."""
    before = getattr(place, name)
    if value is ...:
        delattr(place, name)
    else:
        setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


def row_of(device: Any, workload: str, dtype: str = "bf16", **overrides: Any) -> Any:
    """Measure a workload's case as a worker does; whatever goes wrong is in the row."""
    return guarded(case_of(workload, dtype, **overrides), device.name, lambda _: None)


Rule = Callable[[Any], str | None]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """A rule of the contract: asserts, and returns why it has no meaning here, else nothing."""
    RULES[function.__name__] = function
    return function


def kept(device: Any) -> dict[str, str]:
    """Rule -> empty, "-" and why it has no meaning here, or what is wrong."""
    found = {}
    for name, check in RULES.items():
        try:
            without = check(device)
            found[name] = "" if without is None else f"-{without}"
        except Exception as error:
            trace = error.__traceback__
            lines = []
            while trace is not None:
                lines.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
                trace = trace.tb_next
            found[name] = f"{type(error).__name__}: {error} ({' '.join(lines[1:])})"
    return found
