"""Twenty thousand runs of 36 rows: the index stays small, a question quick, a hundred new files quicker than a look anew."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

import pytest

from bench.results.history.index import NAME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RUNS = 20_000
# Takes 0.1 s of processor time where the limits below were set; a busy or slow machine is given as much more.
LOOP = "import json\nfor _ in range(60): json.loads(json.dumps([{'a': i, 'b': str(i)} for i in range(3000)]))"


def spent(*words: str, **keys) -> tuple[float, float, bytes]:
    """Wall and processor seconds of a command, children included, and what it wrote."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, check=True, **keys)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def test_twenty_thousand_runs(many, folder, capsys):
    many(range(RUNS))
    size = sum(path.stat().st_size for path in folder.glob("*.json")) / RUNS
    env = {key: value for key, value in os.environ.items() if key != "BENCH_STORE"} | {"BENCH_RESULTS": str(folder)}
    figures = {"bytes a run file": size}

    def history(name: str, *words: str) -> bytes:
        tries = [spent("-m", "bench", "history", *words, env=env) for _ in range(1 if name.startswith("first") else 5)]
        figures[f"{name}: wall s"], figures[f"{name}: cpu s"] = min(t[0] for t in tries), min(t[1] for t in tries)
        return tries[-1][2]

    history("first look, index made")
    figures["index MB"] = sum(path.stat().st_size for path in folder.glob(f"{NAME}*")) / 1e6
    text = history("every series")
    history("one case", "llama-3.1-8b-decode[b=6,", "-d", "cuda:0")
    history("one case, 500 runs", "llama-3.1-8b-decode[b=6,", "--last", "500")
    many(range(RUNS, RUNS + 100))
    history("first look after 100 new files")
    document = json.loads(history("as JSON", "--format", "json"))
    slower = max(1.0, min(spent("-c", LOOP)[1] for _ in range(3)) / 0.1)
    with capsys.disabled():
        print()
        for name, value in figures.items():
            print(f"  {name:40} {value:8.3g}")
        print(f"  this machine just now is {slower:.1f} times as slow as where the limits were set")

    assert 15_000 < size < 30_000
    assert len(document["trends"]) == 6 * 36
    assert all(len(trend["points"]) == 60 for trend in document["trends"])
    changed = {trend["case_id"] for trend in document["trends"] if trend["changes"]}
    assert changed >= {f"llama-3.1-8b-decode[b={case},ctx=4k,bf16]" for case in range(0, 36, 6)}
    assert text.startswith(b"got slower: ")
    assert figures["index MB"] <= 100
    # Processor time, since others may use this machine: the limits are 0.5 s for a question, and 1 s for new files.
    assert figures["every series: cpu s"] < 0.5 * slower
    assert figures["one case: cpu s"] < 0.5 * slower
    assert figures["first look after 100 new files: cpu s"] - figures["every series: cpu s"] < 1.0 * slower
