"""Where it runs: sheets, the adapter seam, one file per adapter, the emulated device."""
