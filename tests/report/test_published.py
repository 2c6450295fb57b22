"""Published figures in tables: the mark, the citation, what is second-hand, and nothing left out of a narrow window."""

from __future__ import annotations

import msgspec
import pytest

from bench.report.published import deviation, published_lines, published_table
from bench.report.terminal import markdown, table_text
from bench.results.reference import Anchor, Configuration, Reference, Reproduce


@pytest.fixture
def reference():
    """Return a function that makes a figure, changed as named."""
    fields = {
        "id": "them-h800-decode", "citation": "them/theirs@abc README.md", "secondary": True, "model_name": "R1",
        "models": ["deepseek-r1"], "device_name": "H800", "devices": ["h800-sxm"], "unit": "GPU", "phase": "decode",
        "metric": "output_tokens_per_s", "value": 2324.75, "as_published": "2324.75 tok/s/GPU",
        "caveats": ["a profile", "Of one layer."], "configuration": Configuration(batch=128, dtype="fp8", mode="even"),
    }  # fmt: skip
    return lambda **changes: Reference(**{**fields, **changes})


@pytest.fixture
def anchor(reference):
    return Anchor(
        reference=reference(), device="h800-sxm", case_id="deepseek-r1-decode[b=128]", modelled=2227.03,
        interval=(1800.0, 2700.0), deviation=-0.042, inside=True, tier="transferred",
    )  # fmt: skip


def cells(table):
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.rows]


def test_a_line_has_both_numbers_with_their_marks(anchor):
    (line,) = cells(published_table([anchor]))
    assert line == {
        "figure": "them-h800-decode", "on": "h800-sxm", "per": "GPU", "published": "^2,325 output tok/s",
        "modelled": "~2,227", "deviation": "-4.2%", "inside": "yes", "tier": "transferred", "cited": "[1] secondary",
        "priced as": "deepseek-r1-decode[b=128]", "caveat": "a profile",
    }  # fmt: skip


def test_what_could_not_be_priced_says_why(reference):
    failed = Anchor(reference=reference(), device="h800-sxm", case_id="x[b=1]", reason="needs 900 GB a device")
    (line,) = cells(published_table([failed]))
    assert (line["modelled"], line["deviation"], line["inside"]) == ("-", "-", "-")
    assert line["caveat"] == "needs 900 GB a device"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_marks_and_citation_are_there_at_every_width(width, anchor):
    text = table_text(published_table([anchor]), width)
    assert "^2,325" in text
    assert "~2,227" in text
    assert "[1] them/theirs@abc README.md" in text
    assert "secondary" in text


def test_markdown_has_every_column(anchor):
    text = markdown(published_table([anchor]))
    assert (
        "| figure | on | per | published | modelled | deviation | inside | tier | cited | priced as | caveat |" in text
    )


def test_a_figure_alone_has_its_configuration_citation_and_all_caveats(reference):
    assert published_lines([reference(also={"tpot_s": 0.0494})], 120) == [
        "  ^2,325 output tok/s per GPU, H800, R1",
        "      also    ^49.4 ms TPOT",
        "      at      batch 128, fp8, even",
        "      cited   them/theirs@abc README.md  (secondary)",
        "      caveat  A profile. Of one layer.",
    ]


def test_a_deviation_has_its_sign():
    assert (deviation(0.0871), deviation(-0.5), deviation(0.355)) == ("+8.7%", "-50%", "+36%")


def test_what_a_priced_figure_hides_of_the_exchange_is_told_and_whose_it_is(anchor, reference):
    hidden = {"dp": 128, "ep": 128, "overlap": "partial", "overlap_share": 0.3}
    figures = [
        reference(reproduce=Reproduce(workload="deepseek-r1-decode", dtype="fp8", deployment=hidden)),
        reference(id="another", reproduce=Reproduce(workload="deepseek-r1-decode", dtype="fp8")),
    ]
    table = published_table([msgspec.structs.replace(anchor, reference=each) for each in figures])
    (note,) = [note for note in table.notes if "exchange" in note]
    assert note.startswith("priced with 30% of the exchange hidden")
    assert note.endswith(": them-h800-decode")
    assert not [note for note in published_table([anchor]).notes if "exchange" in note]
