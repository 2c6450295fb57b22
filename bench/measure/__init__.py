"""The one room that knows workloads, devices and results: runs cases and makes rows."""
