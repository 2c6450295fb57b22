"""What becomes of a check: kept beside the runs, written in the forms asked for, printed, explained."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

from bench import project
from bench.errors import DefinitionError, ResultError, listed, nearest
from bench.report.gate.forms import FORMS
from bench.report.gate.table import check_text
from bench.report.gate.why import why_text
from bench.report.terminal import colored, emit, width_of
from bench.results.gate.document import Checked


def keep(checked: Checked) -> Checked:
    """Write the document, whole or not at all, where `read_kept` finds it; return the one that is there then.

    An earlier one of the same levels stays where it has pairs and this one has none: they took minutes to measure, and
    `bench baseline accept` takes its ratio from them.
    """
    before = read_kept(checked.candidate.label)
    if before is not None and before.pairs() and not checked.pairs() and before.compared() == checked.compared():
        return before
    content = msgspec.json.format(msgspec.json.encode(checked), indent=1) + b"\n"
    project.write_atomically(_kept(checked.candidate.label), content)
    return checked


def read_kept(run_id: str) -> Checked | None:
    """Return the last check of a run; None where there is none that can be read."""
    try:
        return msgspec.json.decode(_kept(run_id).read_bytes(), type=Checked)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def _kept(run_id: str) -> Path:
    # An id is what a file says: nothing in it may lead out of the folder.
    name = re.sub(r"[^\w.+-]", "-", run_id)[:100]
    return project.runs_folder().parent / "checks" / f"{name}.json"


def forms(form: str, reports: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Return the forms to write to files; `form` is that of stdout.

    Raises: DefinitionError for a form that does not exist, or a word without a file.
    """
    _known(form, "--format")
    found = []
    for word in reports:
        name, equals, file = word.partition("=")
        if not equals or file in ("", "-"):
            raise DefinitionError(f"--report '{word}': write FORM=FILE, for example junit=check.xml (stdout: --format)")
        _known(name, f"--report '{word}'")
        found.append((name, Path(file)))
    return found


def _known(name: str, where: str) -> None:
    if name not in FORMS:
        raise DefinitionError(f"{where}: no form '{name}'{nearest(name, FORMS) or f'; forms: {listed(FORMS)}'}")


def publish(
    checked: Checked, form: str, reports: list[tuple[str, Path]], *, every: bool, no_color: bool, quiet: bool
) -> None:
    """Keep the check, and write every form that was asked for, the one on stdout last; each file is named on stderr.

    Raises: ResultError for a file that cannot be written, when all else is.
    """
    told: list[str] = []
    failure = None
    try:
        kept, where = keep(checked), project.shown(_kept(checked.candidate.label))
        stays = f"{where} stays the check of {kept.created}, as that one has pairs"
        told.append(f"Saved {where}" if kept is checked else stays)
    except ResultError as error:
        failure = error
    for name, path in reports:
        # A folder is made, as other writers of reports do; that it was not there may be a slip of the pen.
        new = "" if os.path.isdir(path.parent) else ", in a new folder"  # noqa: PTH112 - has no error for closed ones
        try:
            project.write_atomically(path, FORMS[name](checked).encode())
            told.append(f"Wrote {project.shown(path)} ({name}){new}")
        except ResultError as error:
            failure = failure or error
    if form == "table":
        emit(check_text(checked, width_of(sys.stdout), every=every, bold=colored(sys.stdout, no_color)))
    else:
        emit(FORMS[form](checked).rstrip("\n"))
    if told and not quiet:
        emit("\n".join(told), sys.stderr)
    if failure is not None:
        raise failure


def explain(checked: Checked, pattern: str, *, kept: bool) -> None:
    """Print how the verdicts of the matching cases came about.

    Raises: ResultError where no case matches.
    """
    text = why_text(checked, pattern, width_of(sys.stdout))
    of = f"the check of {checked.created} (bench check makes a new one)" if kept else "a first look, made now"
    emit(f"{checked.candidate.label} against {checked.baseline.label}: {of}")
    emit(text)
