"""What runs: definitions, sweeps, routing, and the programs of models and kernels."""
