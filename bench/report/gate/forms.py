"""The forms that a check can be written in, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bench.report.gate.junit import junit
from bench.report.gate.markdown import comment, page, summary
from bench.report.gate.openmetrics import openmetrics
from bench.report.gate.table import check_text
from bench.report.gate.trends import bencher, github_action_benchmark
from bench.results.gate.document import Checked


def document(checked: Checked) -> str:
    """Return the document itself, as JSON."""
    try:
        content = msgspec.json.encode(checked)
    except UnicodeEncodeError:
        # A file's name need not be text; what is not becomes "?".
        content = msgspec.json.encode(_text(msgspec.to_builtins(checked)))
    return msgspec.json.format(content, indent=1).decode()


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_text(one) for one in value]
    return {_text(key): _text(one) for key, one in value.items()} if isinstance(value, dict) else value


FORMS: dict[str, Callable[[Checked], str]] = {
    "table": check_text,
    "md": page,
    "github": summary,
    "comment": comment,
    "json": document,
    "junit": junit,
    "github-action-benchmark": github_action_benchmark,
    "bmf": bencher,
    "openmetrics": openmetrics,
}
