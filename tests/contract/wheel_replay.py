"""Runs where the real torch-npu wheel is importable: repeats recorded calls on meta tensors, or prints schemas, as JSON.

`wheel_replay.py replay CALLS.jsonl` or `wheel_replay.py schemas '["npu_swiglu", ...]'`; the answer is the last line.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

warnings.simplefilter("ignore")

# The wheel says so where an operator has no meta kernel, or where that one wants CANN at work.
WITHOUT_META = (
    "no fake impl or Meta kernel",
    "Failed to find function",
    "is not implemented for 'Meta'",
    "Could not run",
)


def rebuilt(value: Any) -> Any:
    """An argument again, tensors on the meta device."""
    if isinstance(value, dict) and "shape" in value:
        return torch.empty(value["shape"], dtype=getattr(torch, value["dtype"]), device="meta")
    if isinstance(value, dict):
        return getattr(torch, value["torch"])
    return [rebuilt(each) for each in value] if isinstance(value, list) else value


def described(out: Any) -> list[Any]:
    """The outputs as the record writes them down."""
    parts = list(out) if isinstance(out, (tuple, list)) else [out]
    return [
        {"shape": list(p.shape), "dtype": str(p.dtype).removeprefix("torch.")} if isinstance(p, torch.Tensor) else p
        for p in parts
    ]


def replay(call: dict[str, Any]) -> dict[str, Any]:
    """One call: its status and what is wrong with it."""
    name = call["operator"]
    packet = getattr(torch.ops.npu, name, None)
    if packet is None:
        return {"operator": name, "status": "wrong", "problems": [f"the wheel has no {name}"]}
    overload = getattr(packet, call["overload"] or "default")
    known = [argument.name for argument in overload._schema.arguments]
    unknown = [key for key in call["arguments"] if key not in known]
    if unknown:
        problems = [f"unknown argument '{key}'; the wheel knows {', '.join(known)}" for key in unknown]
        return {"operator": name, "status": "wrong", "problems": problems}
    try:
        out = packet(**{key: rebuilt(value) for key, value in call["arguments"].items()})
    except Exception as error:
        text = str(error).splitlines()[0]
        if any(reason in str(error) for reason in WITHOUT_META):
            return {"operator": name, "status": "bound", "problems": [text[:200]]}
        return {"operator": name, "status": "wrong", "problems": [f"{type(error).__name__}: {text[:400]}"]}
    wanted, got = described(out), [plain(each) for each in call["outputs"]]
    problems = []
    if len(wanted) != len(got):
        problems.append(f"{len(got)} outputs recorded, the wheel gives {len(wanted)}")
    for place, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            problems.append(f"output {place} was recorded as {a}, the wheel gives {b}")
    return {"operator": name, "status": "wrong" if problems else "ok", "problems": problems}


def plain(output: Any) -> Any:
    """A recorded output without its format, which a meta tensor does not have."""
    return {key: output[key] for key in ("shape", "dtype")} if isinstance(output, dict) else output


def schemas(names: list[str]) -> dict[str, list[str]]:
    """Schemas of all overloads, those that write to an `out` left away."""
    found: dict[str, list[str]] = {}
    for name in names:
        packet = getattr(torch.ops.npu, name, None)
        overloads = [] if packet is None else [o for o in packet.overloads() if o != "out"]
        found[name] = [str(getattr(packet, overload)._schema) for overload in overloads]
    return found


def main(command: str, argument: str) -> None:
    import torch_npu  # noqa: F401

    if command == "schemas":
        print(json.dumps(schemas(json.loads(argument))))
        return
    calls = [json.loads(line) for line in Path(argument).read_text().splitlines() if line.strip()]
    print(json.dumps([replay(call) for call in calls]))


if __name__ == "__main__":
    main(*sys.argv[1:])
