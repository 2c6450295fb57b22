"""accelbench: write a workload once, measure it here, model it elsewhere, never confuse the two."""

__version__ = "0.1.0"
