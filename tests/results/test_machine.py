"""The machine's fingerprint: the same for what is alike, another for what decides speed."""

from __future__ import annotations

import pytest

from bench.results.machine import fingerprint, machine

CPU = {"name": "A CPU", "cores": "2", "threads": "2", "memory": "25.2 GB", "extensions": "avx2"}
GPU = {
    "name": "A GPU",
    "vendor": "V",
    "memory": "80.1 GB",
    "driver": "550.1",
    "power limit": "700 W",
    "highest clock": "1980 MHz",
}


def made(environment, device="cpu", told=None, **changes):
    return fingerprint(environment(devices={device: told or CPU}, **changes), device)


def test_two_machines_of_one_kind_are_alike(environment):
    assert made(environment) == made(
        environment, host="another", load_average=3.0, packages={"torch": "9"}, commit="c0ffee"
    )
    assert made(environment, told={**CPU, "memory": "24.9 GB"}) == made(environment)


@pytest.mark.parametrize("change", [{"cpu": "B"}, {"cores": 64}, {"container": "docker"}, {"governor": "powersave"}])
def test_what_decides_speed_makes_another_machine(environment, change):
    assert made(environment, **change) != made(environment)


@pytest.mark.parametrize(
    "fact", ["name", "driver", "power limit", "highest clock", "clock limit", "turbo", "cpu quota", "memory"]
)
def test_so_does_what_the_device_says_of_itself(environment, fact):
    other = {**GPU, fact: "81 W"} if fact != "memory" else {**GPU, fact: "40.0 GB"}
    assert made(environment, "cuda:0", other) != made(environment, "cuda:0", GPU)


def test_threads_make_another_machine(environment):
    assert made(environment, told={**CPU, "threads": "1"}) != made(environment)


def test_a_gpus_driver_does_not_move_the_cpu(environment):
    both = environment(devices={"cpu": CPU, "cuda:0": GPU})
    newer = environment(devices={"cpu": CPU, "cuda:0": {**GPU, "driver": "560"}})
    assert fingerprint(both, "cpu") == fingerprint(newer, "cpu")
    assert fingerprint(both, "cuda:0") != fingerprint(newer, "cuda:0")


def test_a_modelled_device_is_no_machine(environment):
    told = {"name": "NVIDIA H100 SXM", "modelled": "from its sheet"}
    assert machine(environment(devices={"h100-sxm": told}), "h100-sxm") == {
        "device": "a modelled device: NVIDIA H100 SXM"
    }
    assert made(environment, "h100-sxm", told, cpu="B") == made(environment, "h100-sxm", told)


@pytest.mark.parametrize("memory", ["", "lots of it", "."])
def test_a_size_of_memory_that_is_no_number_is_no_fact(environment, memory):
    assert "memory" not in machine(environment(devices={"cpu": {**CPU, "memory": memory}}), "cpu")
