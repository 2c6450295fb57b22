"""Errors: exit codes, and the names that were probably meant."""

from __future__ import annotations

import pytest

from bench.errors import (
    BenchError,
    DefinitionError,
    DeviceError,
    NotComparable,
    ResultError,
    Unsupported,
    listed,
    nearest,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [(BenchError, 2), (DefinitionError, 2), (ResultError, 2), (DeviceError, 3), (Unsupported, 4), (NotComparable, 5)],
)
def test_an_error_has_its_exit_code(error, code):
    assert error("x").exit_code == code


@pytest.mark.parametrize("error", [DefinitionError, ResultError, DeviceError, Unsupported, NotComparable])
def test_every_error_is_shown_to_a_person(error):
    assert issubclass(error, BenchError)


def test_a_misspelt_name_gets_its_neighbours():
    assert nearest("bf15", ["bf16", "fp32", "int8"]) == "; did you mean 'bf16'?"


def test_the_nearest_name_comes_first():
    assert nearest("gem", ["mini", "grouped-gemm", "gemm"]).startswith("; did you mean 'gemm' or 'grouped-gemm'")


def test_a_part_of_a_name_finds_the_name():
    assert nearest("a3b", ["qwen3-30b-a3b-decode", "gemm"]) == "; did you mean 'qwen3-30b-a3b-decode'?"


def test_a_name_far_from_all_gets_nothing():
    assert nearest("zzz", ["gemm", "mla"]) == ""


def test_no_name_gets_nothing():
    assert nearest("", ["gemm"]) == ""


def test_at_most_three_names_are_offered():
    assert nearest("aa", ["aab", "aac", "aad", "aae", "aaf"]).count("'") == 6


def test_a_short_list_is_shown_whole():
    assert listed(["a", "b", "c"]) == "a, b, c"


def test_a_long_list_is_cut_and_says_by_how_much():
    assert listed("abcdefgh", limit=3) == "a, b, c and 5 more"


def test_an_empty_list_is_empty():
    assert listed([]) == ""
