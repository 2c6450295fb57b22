"""Adapters of accelerators: one file per vendor, and one more where it has fused operators of its own."""
