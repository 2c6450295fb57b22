"""A fake device for cases: torch operators on the CPU, a clock that follows a script, and tiny models in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.devices.adapter import Launch
from bench.devices.telemetry.reading import Reading
from bench.operators import noise
from bench.operators.torch_operators import TorchOperators

DENSE = """
name = "tiny-dense"
source = "a test"
architecture = "test"
layers = 4
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = 96
vocab = 97
"""

# One dense layer, then four with experts.
MOE = """
name = "tiny-moe"
source = "a test"
architecture = "test"
layers = 5
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = 96
vocab = 97

[moe]
experts = 8
top_k = 2
intermediate = 32
first_dense_layers = 1
"""

# Two pairs of a sliding-window layer and a full one, and one layer left over.
SLIDING = DENSE.replace("tiny-dense", "tiny-sliding").replace("layers = 4", "layers = 5\nsliding_window = 4")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project folder with three tiny models."""
    models = tmp_path / "workloads" / "models"
    models.mkdir(parents=True)
    (models / "tiny-dense.toml").write_text(DENSE)
    (models / "tiny-moe.toml").write_text(MOE)
    (models / "tiny-sliding.toml").write_text(SLIDING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw operands from 65,521 numbers (a prime) and not from 4 million: every operand is made 60 times faster."""
    noise.pool.cache_clear()
    monkeypatch.setattr(noise, "POOL", 65_521)
    yield
    noise.pool.cache_clear()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread: on busy cores a second one makes tiny operators wait for it, hundreds of times over."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class FakeAdapter:
    """The seam of bench/devices/adapter.py. What each step takes is asked of `cost(operators)`; it moves the clock."""

    name = "fake:0"
    unit = "package"
    operator_class: Callable[..., Any]

    def __init__(self, cost: Callable[[Any], float] = lambda _: 1.0) -> None:
        self.cost = cost
        self.now = 0.0
        self.timed = 0
        self.room = 10**9
        self.cache = 1
        self.operator_class = TorchOperators
        self.made: list[Any] = []
        self.told = Reading()
        self.sheet_id: str | None = None
        self.before: Callable[[Any], None] = lambda _: None

    def facts(self) -> dict[str, str]:
        return {"name": "A fake device", "memory": "1 GB"}

    def sheet(self) -> str | None:
        return self.sheet_id

    def operators(self, step: Any, dtype: str, copies: int, layers: int | None) -> Any:
        import torch

        self.made.append(self.operator_class(step, dtype, torch.device("cpu"), copies, layers))
        return self.made[-1]

    def time(self, step: Callable[[], Any], repeats: int) -> list[float]:
        seconds = []
        for _ in range(repeats):
            self.before(self.made[-1])
            step()
            self.timed += 1
            seconds.append(self.cost(self.made[-1]))
            self.now += seconds[-1]
        return seconds

    def cache_bytes(self) -> int:
        return self.cache

    def memory_room(self) -> int:
        return self.room

    def memory_peak(self) -> int | None:
        return 12_345

    def capture(self, step: Callable[[], Any]) -> Launch:
        return Launch(step)

    def read(self) -> Reading:
        return self.told


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, small_pool: None, one_thread: None) -> Callable[..., FakeAdapter]:
    """Return a function that makes a fake device; sampling then goes by its clock."""
    from bench.measure import case
    from bench.measure.timer import sample

    def make(cost: Callable[[Any], float] = lambda _: 1.0) -> FakeAdapter:
        adapter = FakeAdapter(cost)
        monkeypatch.setattr(case, "sample", lambda once, budget_s: sample(once, budget_s, lambda: adapter.now))
        return adapter

    return make
