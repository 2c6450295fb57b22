"""Changes of a series that were found before, so that none is searched for twice."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence

import msgspec

from bench.results.history.split import FLOOR, Split

# Raised when the search finds something else in the same values.
METHOD = b"e-divisive 4"


class Memo:
    """Change points by the values they were found in. known: from before; new: what had to be searched for."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.known = known or {}
        self.new: dict[str, str] = {}
        self.used: set[str] = set()

    def splits(self, values: Sequence[float]) -> list[Split]:
        """Return the change points of a series of measured values above 0."""
        if not values or max(values) <= min(values) * (1 + FLOOR):
            return []
        digest = hashlib.sha256(METHOD + array("d", values).tobytes()).hexdigest()
        self.used.add(digest)
        if digest in self.known:
            return msgspec.json.decode(self.known[digest], type=list[Split])
        # numpy takes its time to be imported.
        from bench.results.history.changes import splits

        found = splits(values)
        self.new[digest] = msgspec.json.encode(found).decode()
        return found
