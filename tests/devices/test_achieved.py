"""Peaks a machine was seen to reach: known by a fingerprint, kept in the project folder."""

from __future__ import annotations

import pytest

from bench.devices.achieved import achieved_path, fingerprint, load_achieved
from bench.errors import DefinitionError

FACTS = {"name": "A CPU", "cores": "8", "memory": "64.4 GB", "extensions": "avx512f avx2"}

FILE = """
device = "cpu"
fingerprint = "abc"
made = "2026-11-21"
command = "bench calibrate -d cpu"
threads = 8
software = "torch 2.9"
read_bytes_per_s = 9e9
copy_bytes_per_s = 12e9

[gemm_flops]
bf16 = 1e12

[gemm_sizes]
bf16 = 2048
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in an empty project folder; return its devices folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devices").mkdir()
    return tmp_path / "devices"


def save(folder, mark: str, text: str = FILE) -> None:
    path = achieved_path(folder, mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_fingerprint_is_twelve_hex_digits_and_stays_the_same():
    # sha256 of "A CPU|8|avx512f avx2|64", shortened (sha256sum).
    assert fingerprint(FACTS) == fingerprint(dict(reversed(FACTS.items()))) == "5ba9962f9eca"


@pytest.mark.parametrize(
    "change", [{"cores": "16"}, {"name": "Another CPU"}, {"extensions": "avx2"}, {"memory": "128.0 GB"}]
)
def test_another_machine_has_another_fingerprint(change):
    assert fingerprint({**FACTS, **change}) != fingerprint(FACTS)


def test_a_few_megabytes_more_are_the_same_machine():
    assert fingerprint({**FACTS, "memory": "64.1 GB"}) == fingerprint(FACTS)


def test_what_does_not_decide_speed_is_not_in_the_fingerprint():
    assert fingerprint({**FACTS, "governor": "powersave"}) == fingerprint(FACTS)


def test_achieved_peaks_are_read_from_the_folder_a_person_stands_in(folder):
    save(folder, "abc")
    found = load_achieved("abc")
    assert found.gemm_flops == {"bf16": 1e12}
    assert found.threads == 8


def test_the_memory_roof_is_the_better_of_reading_and_copying(folder):
    save(folder, "abc")
    save(folder, "def", FILE.replace("9e9", "15e9"))
    assert load_achieved("abc").bytes_per_s == 12e9
    assert load_achieved("def").bytes_per_s == 15e9


def test_a_machine_that_was_never_calibrated_has_none(folder):
    save(folder, "abc")
    assert load_achieved("fff") is None


def test_a_file_that_cannot_be_understood_is_named(folder):
    save(folder, "abc", FILE.replace("threads = 8", 'threads = "all"'))
    with pytest.raises(DefinitionError, match=r"devices/calibrations/here/abc\.toml: .*threads"):
        load_achieved("abc")
