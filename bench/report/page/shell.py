"""What every page is put in: one file with its style and script inside, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

import bench
from bench.report import cells

if TYPE_CHECKING:
    from markupsafe import Markup


def render(template: str, **values: object) -> str:
    """Return a page: a template of this folder that fills shell.html.jinja. What it is given is escaped, Markup is not.

    The shell needs title, question (the line below it) and skip (the words of the link past the heading).
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("bench.report.page", "."), undefined=StrictUndefined, trim_blocks=True,
        autoescape=select_autoescape(default=True, default_for_string=True),
    )  # fmt: skip
    script = _own("words.js") + _own("enhance.js")
    environment.globals |= {
        "style": Markup(_own("style.css")), "script": Markup(script), "script_hash": _hash(script),
        "bench_version": bench.__version__, "badge": badge,
    }  # fmt: skip
    return environment.get_template(template).render(**values)


def badge(source: str) -> Markup:
    """Return the mark that says where numbers come from."""
    from markupsafe import Markup

    return Markup('<span class="badge {}">{}</span>').format(cells.kind(source), source)


def _own(name: str) -> str:
    return files("bench.report.page").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
