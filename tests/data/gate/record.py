"""Records real sessions for the gate to be tried on: each in a process of its own, three variants in turns.

    python tests/data/gate/record.py FILE [--sessions 40] [--note "what else ran"]

A step is 20 runs of a small program. Variants `same` and `again` do exactly that; `slower` does 21, which is 5 % more
work inside the step. FILE gets, for every session and case, the median of all samples and five of them, evenly spaced in
the order they were taken, in seconds, and how many cores others took of the CPU meanwhile. With `--tries 3` a case beside
which others took the CPU is measured again in its process, as `bench check` does with its pairs. Nothing is edited afterwards.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

RUNS = {"same": 20, "again": 20, "slower": 21}
ORDERS = (("same", "slower", "again"), ("slower", "again", "same"), ("again", "same", "slower"))
SECONDS = 0.5
CASES = {
    "gemm[m=256,n=1024,k=1024]": ("gemm", {"m": 256, "n": 1024, "k": 1024}),
    "gemm[m=1,n=2048,k=2048]": ("gemm", {"m": 1, "n": 2048, "k": 2048}),
    "gemm[m=32,n=512,k=512]": ("gemm", {"m": 32, "n": 512, "k": 512}),
    "memory-copy[n=8M]": ("memory_copy", {"n": 8 * 2**20}),
    "rms-norm[m=256,n=4096]": ("rms_norm", {"m": 256, "n": 4096}),
    "attention-decode[b=4,ctx=1k]": (
        "attention_decode", {"batch": 4, "context": 1024, "heads": 16, "kv_heads": 4, "head_dim": 64},
    ),
    "moe[m=32]": ("moe", {"m": 32, "hidden": 256, "inner": 256, "experts": 16, "top_k": 2}),
    "grouped-gemm[m=64]": ("grouped_gemm", {"m": 64, "n": 512, "k": 512, "experts": 8, "top_k": 2}),
}  # fmt: skip


def one_session(variant: str, most: int) -> dict[str, object]:
    """Measure every case once in this process."""
    import torch

    from bench.devices.adapter import open_device
    from bench.measure.others import DISTURBED_CORES, Others
    from bench.measure.timer import sample
    from bench.results.summary import median
    from bench.workloads.routing import Routing
    from bench.workloads.schema import Case

    adapter = open_device("cpu")
    found = {}
    with torch.inference_mode():
        for name, (kernel, dims) in CASES.items():
            routing = Routing() if "experts" in dims else None
            case = Case(workload="recorded", phase="kernel", kernel=kernel, dims=dims, dtype="bf16", routing=routing)
            program, operators = case.program(), adapter.operators(case.step(), "bf16", 1, None)

            def step(program=program, operators=operators) -> None:
                for _ in range(RUNS[variant]):
                    program(operators)

            tries = []
            for _ in range(most):
                with Others() as others:
                    taken = sample(lambda step=step: adapter.time(step, 1)[0], SECONDS).seconds
                tries.append((others.cores or 0.0, taken))
                if tries[-1][0] <= DISTURBED_CORES:
                    break
            disturbance, taken = min(tries)
            five = [taken[round(i * (len(taken) - 1) / 4)] for i in range(5)]
            found[name] = {
                "median_s": short(median(taken)), "of": len(taken), "samples_s": [short(one) for one in five],
                "others_cores": disturbance,
            }  # fmt: skip
    return found


def short(seconds: float) -> float:
    """Six digits: more than any clock here tells."""
    return float(f"{seconds:.6g}")


def flat(text: str) -> str:
    """One line a case, so that the file can be read."""
    return re.sub(r"\{\s*(\"median_s\"[^{}]*?)\s*\}", lambda found: "{" + " ".join(found[1].split()) + "}", text)


def main() -> None:
    """Record, writing the file after every round, so that what was recorded is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--note", default="")
    parser.add_argument("--threads", type=int, default=2, help="for each session (OMP_NUM_THREADS)")
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--one", choices=RUNS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one_session(asked.one, asked.tries)))
        return
    from bench.devices.adapter import open_device

    recorded: dict[str, object] = {
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": dict(open_device("cpu").facts()), "note": asked.note, "threads": asked.threads, "tries": asked.tries, "seconds": SECONDS, "runs": RUNS,
        "sessions": {variant: [] for variant in RUNS},
    }  # fmt: skip
    for index in range(asked.sessions):
        for variant in ORDERS[index % len(ORDERS)]:
            done = subprocess.run(
                [sys.executable, __file__, "--one", variant, "--tries", str(asked.tries)], capture_output=True, text=True, check=True,
                env=os.environ | {"OMP_NUM_THREADS": str(asked.threads)},
            )  # fmt: skip
            found = json.loads(done.stdout)
            assert all(math.isfinite(each["median_s"]) for each in found.values())
            recorded["sessions"][variant].append(found)
        asked.file.write_text(flat(json.dumps(recorded, indent=1)) + "\n")
        print(f"{index + 1}/{asked.sessions}", file=sys.stderr)


if __name__ == "__main__":
    main()
