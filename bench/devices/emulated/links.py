"""Formulas of kernels that send: collectives of two protocols, and the exchange of rows between experts' ranks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.devices.emulated.form import Bounds, Dims, Form, Numbers, Parts, Peaks, Price, logs
from bench.operators.kernel import Dim

Volume = Callable[[Dim], Dim]

_SHARE = (0.6, 0.02, 2.0)
_COLLECTIVE: Bounds = {
    "launch_us": (4.0, 0.05, 60.0), "per_rank_us": (1.0, 0.005, 10.0), "link_quick": (0.4, 0.01, 1.5),
    "link_bulk": (0.75, 0.02, 1.5), "bulk_launch": (3.0, 1.0, 40.0),
}  # fmt: skip
# One pair's channels are a small part of the links.
_PAIRWISE: Bounds = {**_COLLECTIVE, "link_quick": (0.03, 0.001, 1.5)}
_EXCHANGE: Bounds = {"launch_us": (10.0, 0.5, 60.0), "per_rank_us": (0.4, 0.005, 10.0), "near": _SHARE, "far": _SHARE}


def _collective(bulk_sent: Volume, quick_sent: Volume) -> Price:
    def price(p: Numbers, d: Dims, peaks: Peaks, _width: float) -> Parts:
        """min over two protocols: a quick one that uses little of the link, a slow one that uses more."""
        ranks, message = d["ranks"], d["message_bytes"]
        start = peaks.launch(p["launch_us"] + p["per_rank_us"] * ranks)
        quick = start + _on_links(quick_sent(ranks) * message, p["link_quick"], d, peaks)
        bulk = p["bulk_launch"] * start + _on_links(bulk_sent(ranks) * message, p["link_bulk"], d, peaks)
        seconds = np.minimum(quick, bulk)
        return Parts(seconds, link=np.maximum(seconds - start, 0.0), launch=start)

    return price


def _exchange(p: Numbers, d: Dims, peaks: Peaks, _width: float) -> Parts:
    """Expert dispatch or combine: rows to ranks inside the link domain and beyond it go at once.

    A prompt's exchange (`token_bytes` given) sends a token once to each group of linked devices that has one of its
    experts, and lets the links there spread it, as DeepEP's normal mode does.
    """
    start = peaks.launch(p["launch_us"] + p["per_rank_us"] * d["ranks"])
    if "token_bytes" in d and peaks.domain is not None and np.all(np.asarray(d["ranks"]) > peaks.domain):
        groups = d["ranks"] / peaks.domain
        reached = (groups - 1) * (1 - (1 - 1 / groups) ** d["top_k"])
        far = d["token_bytes"] * reached / (p["far"] * peaks.network_bytes_per_s)
        near = d["message_bytes"] / (p["near"] * peaks.link_bytes_per_s)
        link: Dim = np.maximum(near, far)
    else:
        link = _on_links(d["message_bytes"] * _ring(d["ranks"]), p["near"], d, peaks, p["far"])
    return Parts(start + link, link=link, launch=start)


def _on_links(sent: Dim, share: float, d: Dims, peaks: Peaks, far_share: float | None = None) -> Dim:
    """Seconds to send bytes of one device: links within the domain, network for the rest, at once."""
    ranks = d["ranks"]
    if peaks.domain is None:
        return sent / (share * peaks.link_bytes_per_s)
    inside = np.minimum(peaks.domain - 1, np.maximum(ranks - 1, 0)) / np.maximum(ranks - 1, 1)
    near = sent * inside / (share * peaks.link_bytes_per_s)
    far = sent * (1 - inside) / ((far_share or share) * peaks.network_bytes_per_s)
    return np.maximum(near, far)


def _ring(ranks: Dim) -> Dim:
    """Share of a message that a rank sends around a ring: all but its own part."""
    return (ranks - 1) / ranks


def _twice(ranks: Dim) -> Dim:
    """An all-reduce goes around twice: adding up, and telling the sums."""
    return 2 * _ring(ranks)


def _to_everyone(ranks: Dim) -> Dim:
    """One shot: a rank sends its whole message to every other, which adds up alone."""
    return ranks - 1


def _to_one(ranks: Dim) -> Dim:
    """Pairs side by side: the part of a message that is for one other rank."""
    return 1 / ranks


def _form(name: str, bulk: Volume, quick: Volume, numbers: Bounds = _COLLECTIVE) -> Form:
    usual = numbers["link_quick"][0]
    starts = tuple({"link_quick": usual * part, "bulk_launch": times} for part in (0.3, 1, 2) for times in (2.0, 6.0))
    return Form(name, numbers, _collective(bulk, quick), logs("message_bytes", "ranks"), matrix=False, starts=starts)


LINK_FORMS = (
    _form("all_reduce", _twice, _twice),
    _form("all_gather", _ring, _ring),
    _form("reduce_scatter", _ring, _ring),
    _form("all_to_all", _ring, _to_one, _PAIRWISE),
    Form("ep_dispatch", _EXCHANGE, _exchange, logs("message_bytes", "ranks"), matrix=False),
    Form("ep_combine", _EXCHANGE, _exchange, logs("message_bytes", "ranks"), matrix=False),
)
# Another formula that some library's collectives of a kind follow: rule's `form` -> formula.
OTHER_LINK_FORMS = {
    "one_shot": _form("all_reduce", _twice, _to_everyone),
    "ring": _form("all_to_all", _ring, _ring),
}
LINKED = frozenset(form.name for form in LINK_FORMS)
EXCHANGES = frozenset({"ep_dispatch", "ep_combine"})
