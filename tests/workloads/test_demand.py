import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import project
from bench.errors import DefinitionError
from bench.workloads.demand import PROFILES, Demand, find_demand, load_demand

TEXT = """
summary = "a test"
prefill = "mini-dense-prefill"
decode = "mini-dense-decode"
requests_per_s = 10
profile = "flat"
input = 1000
output = 100
ttft_s = 1.0
tpot_s = 0.05
headroom = 0.2
link_gb_per_s = 25
"""


def read(**changes: str) -> Demand:
    lines = [line for line in TEXT.strip().splitlines() if line.split(" = ")[0] not in changes]
    lines += [f"{key} = {value}" for key, value in changes.items() if value]
    return project.parse_toml("\n".join(lines).encode(), Demand, "demand.toml")


def test_the_shipped_example_is_read_and_says_that_it_is_one():
    demand = load_demand(find_demand("chat-day"))
    assert demand.summary.startswith("Example")
    assert len(demand.day) == 24


def test_means_are_weighted_by_their_shares():
    mixed = read(input="[{ tokens = 500, share = 0.8 }, { tokens = 3000, share = 0.2 }]",
                 output="[{ tokens = 100, share = 0.5 }, { tokens = 300, share = 0.5 }]")  # fmt: skip
    assert (mixed.mean_input, mixed.mean_output) == (1000, 200)
    # A quarter of the tokens are in answers of 100, three quarters in ones of 300: half of 250 beside the prompt.
    assert mixed.mean_context == pytest.approx(1125)


def test_a_mean_length_sees_its_prompt_and_half_its_answer():
    assert read().mean_context == 1050


def test_a_profile_keeps_the_days_mean_and_its_shape():
    day = read(profile='"office"').day
    assert sum(day) / 24 == pytest.approx(10)
    assert max(day) == pytest.approx(10 * 2.6)
    assert read().day == [10.0] * 24


def test_profiles_are_a_day_of_hours_around_one():
    for shape in PROFILES.values():
        assert len(shape) == 24
        assert sum(shape) == pytest.approx(24)


def test_a_listed_day_is_taken_as_it_is():
    hours = ", ".join(["1"] * 47 + ["3"])
    assert max(read(requests_per_s=f"[{hours}]", profile="").day) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requests_per_s": "[1, 2, 3]", "profile": ""}, "requests_per_s has 3 figures; a day is cut in 24, 48, 96,"),
        ({"profile": ""}, 'requests_per_s is one figure, the mean of the day; add profile = "flat"'),
        ({"requests_per_s": "[" + "1, " * 24 + "]"}, "is a list, which is a profile already; leave out `profile`"),
        ({"requests_per_s": "-1"}, "requests_per_s holds -1"),
        ({"requests_per_s": "1e30"}, "from 0 to 1,000,000,000: everybody on earth, once in eight seconds"),
        ({"requests_per_s": "nan"}, "requests_per_s holds nan"),
        ({"requests_per_s": "0"}, "requests_per_s is 0 all day: nothing is to be served"),
        ({"profile": '"weekend"'}, "`profile` is 'weekend'; known: evening, flat, office"),
        ({"profile": '"offise"'}, "did you mean 'office'"),
        ({"headroom": "1"}, "headroom is 1"),
        ({"headroom": "-0.1"}, "headroom is -0.1"),
        ({"ttft_s": "0"}, "ttft_s is 0"),
        ({"tpot_s": "nan"}, "tpot_s is nan; it must be a number above 0"),
        ({"link_gb_per_s": "inf"}, "link_gb_per_s is inf"),
        ({"input": "0"}, "input is 0; it counts tokens"),
        ({"input": "[]"}, "input is an empty list"),
        ({"output": "[{ tokens = 5, share = 0.5 }]"}, "the shares of output add up to 0.5; they must to 1"),
        ({"output": "[{ tokens = 5, share = nan }]"}, "output has a share of nan"),
        ({"output": "[{ tokens = 0 }]"}, "Expected `int` >= 1"),
        ({"dtype": '"fp9"'}, "dtype is 'fp9'; known: 8-bit, "),
        ({"headrom": "0.1"}, "unknown key 'headrom'; did you mean 'headroom'"),
        ({"tpot_s": ""}, "missing required field `tpot_s`"),
    ],
)  # fmt: skip
def test_a_bad_demand_is_told_in_one_line(changes, message):
    with pytest.raises(DefinitionError) as raised:
        read(**changes)
    assert message in str(raised.value)
    assert str(raised.value).startswith("demand.toml: ")
    assert "\n" not in str(raised.value)


def test_a_missing_demand_is_told_with_the_nearest_name():
    with pytest.raises(DefinitionError, match="unknown demand 'chat-dai'; did you mean 'chat-day'"):
        find_demand("chat-dai")
    with pytest.raises(DefinitionError, match=r"nowhere\.toml: cannot be read"):
        load_demand(find_demand("nowhere.toml"))


@given(st.binary(max_size=200))
def test_no_file_ends_in_anything_but_a_demand_or_one_line(content):
    with pytest.raises(DefinitionError, match=r"^d\.toml: "):
        project.parse_toml(content, Demand, "d.toml")
