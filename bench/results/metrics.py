"""Every quantity a row can show: what it means, how it is worked out, in which unit, after whom."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One quantity: its definition in a sentence, its formula, unit, direction and source."""

    name: str
    definition: str
    formula: str
    unit: str
    better: str
    source: str


_EVERY = (
    Metric(
        "step_s",
        "Time of one forward step: the whole prompt in prefill, one token for every sequence in decode.",
        "median of samples_s (measured), or the sum of priced kernels and host overhead (modelled)",
        "s",
        "lower",
        "median: less moved by stalls than the mean (Georges, Buytaert, Eeckhout, OOPSLA 2007)",
    ),
    Metric(
        "ttft_s",
        "Time to first token: processing the prompt, without queueing or network.",
        "step_s of a prefill case",
        "s",
        "lower",
        "MLPerf Inference rules (there with queueing)",
    ),
    Metric(
        "tpot_s",
        "Time per output token after the first: one decode step.",
        "step_s of a decode case",
        "s",
        "lower",
        "MLPerf Inference rules",
    ),
    Metric(
        "prompt_tokens_per_s",
        "Prompt tokens processed per second by one unit (die, package, machine).",
        "batch * input_len / step_s * devices in the unit / tp",
        "prompt tokens/s",
        "higher",
        "accelbench: token kinds are never added up",
    ),
    Metric(
        "output_tokens_per_s",
        "Tokens generated per second by one unit (die, package, machine).",
        "batch / step_s * devices in the unit / tp",
        "output tokens/s",
        "higher",
        "accelbench: token kinds are never added up",
    ),
    Metric(
        "p90_s",
        "Time that nine steps of ten stay below; only from 30 samples on.",
        "quantile 0.9 of samples_s",
        "s",
        "lower",
        "about three samples lie beyond it",
    ),
    Metric(
        "p99_s",
        "Time that 99 steps of 100 stay below; only from 300 samples on.",
        "quantile 0.99 of samples_s",
        "s",
        "lower",
        "about three samples lie beyond it",
    ),
    Metric(
        "tokens_per_s_per_tflops",
        "Tokens per second for each TFLOP/s of the unit's published dense peak, in the precision that is run.",
        "tokens per second / (peak of the row's dtype in TFLOP/s * devices in the unit)",
        "tokens/s per TFLOP/s",
        "higher",
        "CloudMatrix384, arXiv:2506.12708",
    ),
    Metric(
        "flops",
        "FLOPs of matrix products in one step on one device; 2 per multiply-add, causal attention counts what is seen.",
        "sum over the program's kernels, read by the cost operators",
        "FLOP",
        "",
        "accelbench; agrees with torch.utils.flop_counter where that counts the same work",
    ),
    Metric(
        "read_bytes",
        "Bytes one step has to read: every operand once, touched experts only, every visible cached token once.",
        "sum over the program's kernels",
        "B",
        "",
        "accelbench: the least that any kernel can read",
    ),
    Metric(
        "written_bytes",
        "Bytes one step has to write: every result once.",
        "sum over the program's kernels",
        "B",
        "",
        "accelbench: the least that any kernel can write",
    ),
    Metric(
        "link_bytes",
        "Bytes one step has to send to other devices, one direction.",
        "sum over the program's kernels",
        "B",
        "",
        "accelbench: 2 (n-1)/n of an all-reduce's message, (n-1)/n of the others'",
    ),
    Metric(
        "mfu",
        "Model FLOPs utilization: achieved FLOP/s over the sheet's dense peak of the case's dtype.",
        "flops / step_s / peak_flops",
        "share",
        "higher",
        "PaLM, arXiv:2204.02311; above 100 % is shown, not clipped",
    ),
    Metric(
        "mbu",
        "Memory bandwidth utilization: bytes that had to move per second over the sheet's bandwidth.",
        "(read_bytes + written_bytes) / step_s / peak_bytes_per_s",
        "share",
        "higher",
        "Databricks, LLM inference performance engineering (2023)",
    ),
    Metric(
        "mfu_achieved",
        "As mfu, but of the best GEMM rate this machine reached in `bench calibrate`.",
        "flops / step_s / achieved gemm_flops[dtype]",
        "share",
        "higher",
        "accelbench: for machines that no sheet describes",
    ),
    Metric(
        "mbu_achieved",
        "As mbu, but of the best read or copy rate this machine reached in `bench calibrate`.",
        "(read_bytes + written_bytes) / step_s / max(read, copy) bytes per second",
        "share",
        "higher",
        "accelbench; above 100 % where operands stay in a cache",
    ),
    Metric(
        "bound",
        "What limits the step: compute, memory, link (messages between devices) or launch (starting kernels).",
        "modelled: where most of the priced time goes; measured: the higher of the two roofs",
        "",
        "",
        "roofline model, Williams, Waterman, Patterson, CACM 2009",
    ),
    Metric(
        "interval",
        "How sure the number is.",
        "measured: 95 % interval of the median by order statistics, inside one process;"
        " modelled: P10 to P90 of the calibration's residuals, carried to the step",
        "s",
        "",
        "Hahn and Meeker, Statistical Intervals; between processes the noise is larger",
    ),
    Metric(
        "imbalance",
        "Expert imbalance that the routing realised.",
        "largest load of an expert / mean load",
        "ratio",
        "lower",
        "DeepSeek-V3, arXiv:2412.19437",
    ),
    Metric(
        "memory_bytes",
        "Memory one device needs: weights, KV cache, and three times the largest kernel's results.",
        "read by the cost operators",
        "B",
        "lower",
        "accelbench",
    ),
    Metric(
        "memory_peak_bytes",
        "Largest memory that the case's process held, its weights, check and libraries included.",
        "what the device or the operating system reports at the end",
        "B",
        "lower",
        "accelbench",
    ),
    Metric(
        "power_w",
        "Mean power over the timed window, as a sensor gave it; power_basis says which.",
        "read from the device",
        "W",
        "lower",
        "MLPerf Power",
    ),
    Metric(
        "joules_per_token",
        "Energy per token from measured power over the timed window; never from a design power.",
        "power_w / tokens per second",
        "J/token",
        "lower",
        "MLPerf Power",
    ),
    Metric(
        "warmup_s",
        "Time until the step's time had settled; not part of any sample.",
        "blocks of runs until a block's median is within 3 % of the one before, at most a quarter of the case's time",
        "s",
        "",
        "accelbench",
    ),
    Metric(
        "warmup_samples",
        "Steps that were run to warm up.",
        "counted",
        "steps",
        "",
        "accelbench",
    ),
    Metric(
        "calls_per_sample",
        "Steps inside one sample: short ones are repeated, kernels once for each copy of their operands.",
        "ceil(0.5 ms / first step) * copies",
        "steps",
        "",
        "accelbench",
    ),
    Metric(
        "timed_s",
        "Time spent in warm-up and sampling together.",
        "wall clock",
        "s",
        "",
        "accelbench",
    ),
    Metric(
        "wall_s",
        "Time of the case from its start: weights, check, warm-up and sampling.",
        "wall clock",
        "s",
        "",
        "accelbench",
    ),
)

METRICS = {metric.name: metric for metric in _EVERY}
