"""The gallery in docs/gallery says what its commands give today; `make gallery` brings it up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.fixture(scope="module")
def make() -> Any:
    spec = importlib.util.spec_from_file_location("make_gallery", GALLERY / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    make.build(folder)
    return folder


def test_each_report_says_what_its_command_gives_today(make: Any, built: Path) -> None:
    for name in make.REPORTS:
        for form in make.FORMS:
            file = f"{name}.{form}"
            today, kept = (make.lasting((folder / file).read_text()) for folder in (built, GALLERY))
            assert today == kept, f"docs/gallery/{file} is stale: make gallery"


def test_pictures_of_the_page_are_there_in_both_themes() -> None:
    for scheme in ("light", "dark"):
        assert (GALLERY / f"910c-h100-{scheme}.png").read_bytes().startswith(b"\x89PNG")


def test_a_changed_number_would_be_seen(make: Any, built: Path) -> None:
    text = (built / "cpu.md").read_text()
    assert make.lasting(text) != make.lasting(text.replace("1", "2"))
