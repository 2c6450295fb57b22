"""Rules for kinds of kernel that no public table holds: assumed, and marked so."""

from __future__ import annotations

from bench.devices.emulated.profile import Evidence, Rule


def assumed_rules() -> list[Rule]:
    """Return the assumed rules of the generic profile."""
    return [
        _rule(
            "pointwise",
            "",
            {"memory": 0.7, "launch_us": 3.0},
            (0.6, 2.0),
            "2 to 3 us from a graph on NVIDIA parts, 4 to 5 us and more on a 910C die",
        ),
        *(
            _rule("batched_gemm", dtype, numbers, (0.6, 1.8), "as gemm, with smaller tiles")
            for dtype, numbers in (
                ("bf16", {"compute": 0.5, "memory": 0.7, "launch_us": 5.0, "sharpness": 2.0}),
                ("fp16", {"compute": 0.5, "memory": 0.7, "launch_us": 5.0, "sharpness": 2.0}),
                ("fp32", {"compute": 0.5, "memory": 0.7, "launch_us": 5.0, "sharpness": 2.0}),
                ("fp8", {"compute": 0.4, "memory": 0.7, "launch_us": 5.0, "sharpness": 2.0}),
            )
        ),
        *(
            _rule("gemm", dtype, numbers, (0.7, 1.6), source)
            for dtype, numbers, source in (
                ("fp16", {"compute": 0.77, "memory": 0.77, "launch_us": 3.5, "sharpness": 2.0}, "as bf16"),
                ("fp32", {"compute": 0.6, "memory": 0.77, "launch_us": 3.5, "sharpness": 2.0}, "a vector-unit product"),
                ("int8", {"compute": 0.62, "memory": 0.9, "launch_us": 12.0, "sharpness": 2.0}, "a 910C die's int8"),
                ("fp4", {"compute": 0.4, "memory": 0.8, "launch_us": 12.0, "sharpness": 2.0}, "below fp8's share"),
            )
        ),
        *(
            _rule("moe", dtype, numbers, (0.6, 1.8), source)
            for dtype, numbers, source in (
                ("fp16", _MOE, "as bf16"),
                ("fp32", _MOE, "as bf16"),
                ("int8", {**_MOE, "compute": 0.4}, "as fp8"),
                ("fp4", {**_MOE, "compute": 0.3}, "below fp8's share"),
            )
        ),
        *(
            _rule(kind, dtype, numbers, (0.6, 1.8), "as bf16, which is measured")
            for dtype in ("fp16", "fp32")
            for kind, numbers in (
                ("attention_prefill", _PREFILL),
                ("mla_prefill", _PREFILL),
                ("attention_decode", _DECODE),
                ("mla_decode", {"compute": 0.6, "memory": 0.85, "launch_us": 15.0, "sharpness": 2.5}),
            )
        ),
        *(
            _rule("indexer", dtype, _PREFILL, (0.5, 2.0), "no public timing of DeepSeek-V3.2's indexer")
            for dtype in ("bf16", "fp16", "fp32")
        ),
    ]


_MOE = {"compute": 0.5, "memory": 0.8, "launch_us": 25.0, "sharpness": 2.0, "expert_us": 0.05}
_PREFILL = {"compute": 0.5, "ramp_tokens": 500.0, "launch_us": 15.0, "memory": 0.6}
_DECODE = {
    "memory": 0.85, "memory_ungrouped": 0.85, "launch_us": 12.0, "ramp_us": 10.0, "hit": 0.3, "cache_share": 0.6,
    "compute_wide": 0.007,
}  # fmt: skip


def _rule(kind: str, dtype: str, numbers: dict[str, float], band: tuple[float, float], source: str) -> Rule:
    found = Evidence(
        n=0, mape=0.0, median=0.0, bias=1.0, low=band[0], high=band[1], source=source, method="assumed, not measured"
    )
    return Rule(kind=kind, dtype=dtype, numbers=numbers, evidence=found)
