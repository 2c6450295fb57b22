"""Which metrics the gate keeps and judges."""

# What is kept of a case, lower being better in all of them, and what of it is judged unless a person asks for more:
# a process's peak memory moves with the allocator, by more than most changes do.
KEPT = ("step_s", "eager_step_s", "joules_per_token", "memory_peak_bytes")
GATED = KEPT[:3]
