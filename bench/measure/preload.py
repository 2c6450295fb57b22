"""Imported once by the server that forks workers: everything a worker needs, loaded but not yet used."""

import contextlib

with contextlib.suppress(ImportError):
    import torch  # noqa: F401

import bench.cli
import bench.measure.worker

with contextlib.suppress(ImportError):
    import bench.devices.cpu_operators  # noqa: F401
