"""What the documents of other projects in this folder were recorded with."""

import pytest


class Thing:
    pass


@pytest.mark.parametrize("n", [10, 1000])
def test_sort(benchmark, n):
    benchmark.pedantic(sorted, (list(range(n, 0, -1)),), rounds=7, iterations=10)


@pytest.mark.parametrize("thing", [Thing()], ids=["thing"])
def test_thing(benchmark, thing):
    benchmark.extra_info["dtype"] = "fp32"
    benchmark.pedantic(repr, (thing,), rounds=7)
