"""What accelerators say of themselves: power, utilization, temperature, clocks, memory; one file per vendor's tool."""
