"""The devices that a pytest session times on, and what is told of them: read once, before anything is timed."""

from __future__ import annotations

from functools import cached_property

import pytest

from bench.devices.achieved import fingerprint
from bench.devices.adapter import open_device, present_devices
from bench.devices.sheet import known_sheets
from bench.errors import BenchError, DeviceError
from bench.measure.before import device_facts
from bench.results.environment import collect, command_line
from bench.results.record import Environment


class Machine:
    """The devices asked for, or the first accelerator, else the CPU."""

    def __init__(self, asked: list[str], *, allow_busy: bool) -> None:
        here = present_devices()
        self.devices = list(dict.fromkeys(asked)) or [next((name for name in here if name != "cpu"), "cpu")]
        self._allow_busy = allow_busy
        for device in self.devices:
            if device not in here and device in known_sheets():
                raise DeviceError(
                    f"'{device}' is not on this machine, and a test is a timing: its sheet can be modelled with"
                    f" bench run -d {device}"
                )
            open_device(device)

    @cached_property
    def _told(self) -> dict[str, tuple[dict[str, str], str]]:
        return {
            device: device_facts(device, allow_busy=self._allow_busy, allowing="--bench-allow-busy")
            for device in self.devices
        }

    def busy(self, device: str) -> str:
        """Return who else uses a device, "" for nobody; what the machine is doing is read now, once.

        Raises: DeviceError when somebody does and that is not allowed.
        """
        _ = self.environment
        return self._told[device][1]

    @cached_property
    def environment(self) -> Environment:
        """What the numbers of this session are made with and on."""
        facts = {device: told for device, (told, _) in self._told.items()}
        return collect(command_line(), facts, fingerprint(open_device("cpu").facts()))


_MACHINE = pytest.StashKey[Machine]()


def machine_of(config: pytest.Config) -> Machine:
    """Return the session's devices, as its options name them.

    Raises: pytest.UsageError for a device that is not here.
    """
    if _MACHINE not in config.stash:
        asked, allow_busy = config.getoption("bench_device"), config.getoption("bench_allow_busy")
        try:
            config.stash[_MACHINE] = Machine(asked, allow_busy=allow_busy)
        except BenchError as error:
            raise pytest.UsageError(f"--bench-device: {error}" if asked else str(error)) from None
    return config.stash[_MACHINE]
