"""A demand (`demand.toml`): requests over a day, how long they are, and how soon they must be answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bench import project
from bench.units import counted
from bench.workloads.model import check_positive
from bench.workloads.schema import DTYPES

PATTERN = "demand/*.toml"
EIGHT_BIT = "8-bit"
# Equal parts of a day: hours, half-hours, quarters, ten and five minutes, minutes.
SLOTS = (24, 48, 96, 144, 288, 1440)
Profile = Literal["flat", "office", "evening"]
# Requests of an hour over the day's mean, from midnight on. Shapes are assumed, not measured: better to list your own.
PROFILES: dict[Profile, tuple[float, ...]] = {
    "flat": (1.0,) * 24,
    "office": (
        0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.9, 1.8, 2.4, 2.6, 2.2, 1.4, 2.0, 2.4, 2.3, 2.0, 1.2, 0.6, 0.4, 0.3, 0.2,
        0.1, 0.1,
    ),
    "evening": (
        0.6, 0.4, 0.2, 0.2, 0.2, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.0, 1.1, 1.1, 1.0, 1.0, 1.1, 1.3, 1.6, 1.9, 2.2, 2.2,
        1.8, 1.2,
    ),
}  # fmt: skip
LONGEST = 2**24
# Everybody on earth, once in eight seconds.
MOST_REQUESTS_PER_S = 1e9

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Length(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """So many tokens, and the share of requests that have them."""

    tokens: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)]
    share: float = 1.0


class Demand(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One demand file. Keys are described in docs/cost-and-fleet.md."""

    summary: Text
    prefill: Text
    decode: Text
    requests_per_s: float | list[float]
    input: int | list[Length]
    output: int | list[Length]
    ttft_s: float
    tpot_s: float
    headroom: float
    link_gb_per_s: float
    profile: Profile | None = None
    model: Text | None = None
    dtype: Text | None = None

    def __post_init__(self) -> None:
        check_positive(self, "ttft_s", "tpot_s", "link_gb_per_s")
        if not 0 <= self.headroom < 1:
            raise ValueError(f"headroom is {self.headroom}; it is a share kept free, at least 0 and below 1")
        if self.dtype is not None and self.dtype not in (EIGHT_BIT, *DTYPES):
            raise ValueError(f"dtype is {self.dtype!r}; known: {EIGHT_BIT}, {', '.join(DTYPES)}")
        for key in ("input", "output"):
            _check_lengths(key, getattr(self, key))
        self._check_day()

    def _check_day(self) -> None:
        given = self.requests_per_s
        if isinstance(given, list):
            if self.profile is not None:
                raise ValueError("requests_per_s is a list, which is a profile already; leave out `profile`")
            if len(given) not in SLOTS:
                raise ValueError(
                    f"requests_per_s has {counted(len(given), 'figure')}; a day is cut in"
                    f" {', '.join(map(str, SLOTS))} equal parts"
                )
        elif self.profile is None:
            raise ValueError('requests_per_s is one figure, the mean of the day; add profile = "flat", "office" or'
                             ' "evening", or list 24 figures')  # fmt: skip
        for value in given if isinstance(given, list) else [given]:
            if not 0 <= value <= MOST_REQUESTS_PER_S:
                raise ValueError(
                    f"requests_per_s holds {value}; it must be a number from 0 to {MOST_REQUESTS_PER_S:,.0f}: everybody"
                    " on earth, once in eight seconds"
                )
        if max(self.day) == 0:
            raise ValueError("requests_per_s is 0 all day: nothing is to be served")

    @property
    def day(self) -> list[float]:
        """Requests a second in each of the equal parts of a day."""
        given = self.requests_per_s
        if isinstance(given, list):
            return given
        shape = PROFILES[self.profile or "flat"]
        return [given * value * len(shape) / sum(shape) for value in shape]

    @property
    def inputs(self) -> list[Length]:
        """Prompt lengths with their shares."""
        return [Length(self.input)] if isinstance(self.input, int) else self.input

    @property
    def outputs(self) -> list[Length]:
        """Answer lengths with their shares."""
        return [Length(self.output)] if isinstance(self.output, int) else self.output

    @property
    def mean_input(self) -> float:
        return sum(each.tokens * each.share for each in self.inputs)

    @property
    def mean_output(self) -> float:
        return sum(each.tokens * each.share for each in self.outputs)

    @property
    def mean_context(self) -> float:
        """Tokens that a decoded token sees on average: the prompt, and half of its own answer.

        Long answers have more tokens, so answers count by their length; prompts and answers are taken as independent.
        """
        squares = sum(each.tokens**2 * each.share for each in self.outputs)
        return self.mean_input + squares / self.mean_output / 2


def _check_lengths(key: str, given: int | list[Length]) -> None:
    if isinstance(given, int):
        if not 1 <= given <= LONGEST:
            raise ValueError(f"{key} is {given}; it counts tokens, so between 1 and {LONGEST}")
        return
    if not given:
        raise ValueError(f"{key} is an empty list; write a mean, or lengths with their shares")
    for each in given:
        if not 0 < each.share <= 1:
            raise ValueError(f"{key} has a share of {each.share}; shares lie between 0 and 1")
    total = sum(each.share for each in given)
    if abs(total - 1) > 1e-3:
        raise ValueError(f"the shares of {key} add up to {total:.4g}; they must to 1")


def load_demand(path: Path) -> Demand:
    """Read a demand file.

    Raises: DefinitionError naming the file, the key and what would be right.
    """
    return project.load_toml(path, Demand)


def find_demand(text: str) -> Path:
    """Return the file that a command line means: a path, or the name of a demand in workloads/demand/."""
    if Path(text).is_file() or text.endswith(".toml"):
        return Path(text)
    return project.find("workloads", text, PATTERN, noun="demand", command="docs/cost-and-fleet.md")
