"""The answer to each question that a comparison was made for, in one sentence: a model, its precision, its limits.

A sentence is put together from the verdicts that count, and says nothing that they do not: who yields more, by how
much, how sure, and, where prices were given, what is said of price or what a system without one is worth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from bench.errors import listed
from bench.results.reading import Interval
from bench.results.verdict import Axis, EqualPrice, Verdict, summary
from bench.units import three_digits, times

LIMITS = {"tpot": "at {} per token", "ttft": "first token within {}"}
WITHOUT_LIMITS = "at the same batch per device"
PRICE: Axis = "price/performance"
FRONTS = ("estimated", "unstable")
WAYS = {"rented": "renting", "bought": "buying"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of two systems, whole and in its parts: the question, the answer, what follows for money or ""."""

    a: str
    b: str
    text: str
    of: str
    words: str
    price: str = ""


class Question(msgspec.Struct, frozen=True):
    """The verdicts that count for one model, phase, precision and target of two systems: on throughput, and on price.

    Both may be several: of contexts, or bought and rented.
    """

    throughput: list[Verdict]
    price: list[Verdict]


def questions(found: Sequence[Verdict]) -> list[Question]:
    """Return the questions that verdicts answer, in their order."""
    asked: dict[tuple[str, ...], Question] = {}
    for verdict in found:
        if verdict.axis == "throughput" and verdict.metric and verdict.counted:
            asked.setdefault(_key(verdict), Question([], [])).throughput.append(verdict)
    for verdict in found:
        if verdict.axis == PRICE and verdict.counted and _key(verdict) in asked:
            asked[_key(verdict)].price.append(verdict)
    return list(asked.values())


def answer(question: Question) -> Answer:
    """Return the answer to a question."""
    first = question.throughput[0]
    limits = [part.partition("<=") for part in filter(None, first.limits.split(","))]
    told = [LIMITS[key].format(re.sub(r"(?<=\d)(?=[a-z])", " ", value)) for key, _, value in limits]
    model = first.model + (" prompts" if first.phase == "prefill" else "")
    of = ", ".join(filter(None, (model, first.precision, *(told or [WITHOUT_LIMITS]))))
    words, price = _words(question.throughput), worth(question.price)
    text = "; ".join(filter(None, (f"{of}: {words}", price)))
    return Answer(a=first.a, b=first.b, text=text, of=of, words=words, price=price)


def answers(found: Sequence[Verdict]) -> list[Answer]:
    """Return the answers that verdicts give."""
    return [answer(question) for question in questions(found)]


def other_pairs(labels: Sequence[str]) -> str:
    """Return which pairs are not read against each other, and how to get them; "" where all are."""
    if len(labels) < 3:
        return ""
    first, second, *rest = labels
    return (
        f"{first} is read against each of the others, and those not against each other; for "
        f"{second} against {listed(rest)}, name {second} first"
    )


def _key(verdict: Verdict) -> tuple[str, ...]:
    return verdict.a, verdict.b, verdict.model, verdict.phase, verdict.precision, verdict.limits


def _words(found: Sequence[Verdict]) -> str:
    """The verdict on throughput, with its ratio where it is of one case; how sure it is stands at the end."""
    rest, sure = summary("throughput", found), list[str]()
    for front in FRONTS:
        if rest.startswith(f"{front}: "):
            rest, sure = rest.removeprefix(f"{front}: "), [*sure, front]
    one = found[0]
    if len(found) == 1 and not one.doubt:
        if one.ratio is None:
            rest += f" ({one.why})" if one.why else ""
        elif " better by " in rest:
            rest += _spread(one.interval, turned=one.ratio < 1)
        else:
            rest = rest.replace("cannot tell apart", "cannot tell which is faster")
            rest += f", {one.a} at {times(one.ratio)} of {one.b}{_spread(one.interval)}"
    return ", ".join([rest, *sure])


def _spread(interval: Interval | None, *, turned: bool = False) -> str:
    if interval is None:
        return ""
    if turned and not interval[0]:
        return f" ({times(1 / interval[1])} or more)"
    low, high = (1 / interval[1], 1 / interval[0]) if turned else interval
    return f" ({times(low)} to {times(high)})"


def worth(found: Sequence[Verdict]) -> str:
    """Return what is said of price: the verdict, or up to what price a system of which none is known is worth it."""
    sure = [verdict for verdict in found if not verdict.doubt]
    equal = [verdict.equal for verdict in sure if verdict.equal is not None]
    if equal:
        own = [each for each in equal if each.of == equal[0].of]
        ways = dict.fromkeys(each.way for each in own)
        told = " or ".join(_up_to([each for each in own if each.way == way]) for way in ways)
        return f"{equal[0].of} is worth {told}"
    return f"on price, {summary(PRICE, sure)}" if any(verdict.ratio is not None for verdict in sure) else ""


def _up_to(prices: Sequence[EqualPrice]) -> str:
    low, high = (three_digits(end(each.value for each in prices)) for end in (min, max))
    first = prices[0]
    span = low if low == high else f"{low} to {high}"
    ends = (
        ""
        if len(prices) > 1 or first.interval is None
        else f" ({' to '.join(dict.fromkeys(map(three_digits, first.interval)))})"
    )
    return f"{WAYS[first.way]} up to about {span} {first.unit} a {first.per}{ends}"
