"""Machines that are pretended: what torch sees of a family, which device files there are, what is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.devices import accelerator
from bench.devices.detect import Present, Seen


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the machine; without words there is nothing at all on it.

    devices: as torch shows them, by keywords of Present or ready made. drivers: patterns of device files that are there.
    """

    def set_up(
        *devices: Any, drivers: tuple[str, ...] = (), installed: tuple[str, ...] = (), error: str | None = None,
        torch: str | None = "2.13.0", **runtime: str,
    ) -> None:  # fmt: skip
        present = [
            each if isinstance(each, Present) else Present(**{"index": number, "name": "A chip", **each})
            for number, each in enumerate(devices)
        ]

        def look(family: str, plugin: str = "") -> Seen:
            return Seen(family, torch, dict(runtime), present, error)

        monkeypatch.setattr(accelerator, "look", look)
        monkeypatch.setattr(accelerator, "nodes", lambda *patterns: bool(set(drivers) & set(patterns)))
        monkeypatch.setattr(accelerator, "installed", lambda package: package in installed)

    set_up()
    return set_up
