"""The arrows of the house: which room may import which, no cycles, and torch only where it runs.

Read off the source with `ast`, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

BENCH = Path(importlib.util.find_spec("bench").origin).parent
LEAVES = {"errors", "units", "project"}
EVERYTHING = {"operators", "workloads", "devices", "results", "measure", "report", "commands", "cli"} | LEAVES

# A room and what it may import of ours, itself aside. `bench` is the package itself, which holds the version only.
ARROWS = {
    "bench": set(),
    "errors": set(),
    "units": {"errors"},
    "project": {"errors"},
    "operators": LEAVES,
    "workloads": {"operators"} | LEAVES,
    "devices": {"operators"} | LEAVES,
    "results": LEAVES,
    "measure": EVERYTHING - {"report", "commands", "cli"},
    "report": {"results"} | LEAVES,
    "commands": EVERYTHING - {"cli"},
    # The command line finds its commands by name when one is asked for, so that `bench --help` stays quick.
    "cli": LEAVES,
    "__main__": {"cli"},
    # Loaded by pytest: knows what commands know, and plans a suite as `bench run` does.
    "pytest_plugin": EVERYTHING - {"cli"},
}
EXCEPTIONS = {
    # The server that forks workers loads all they need beforehand, the command line's own modules included.
    ("measure/preload.py", "cli"),
    # Not wanted: the tree of commands can be had from click's context. To be removed here when it is removed there.
}

# torch at the top of a module: its import takes seconds, so only what is loaded in order to compute may do so.
TORCH_AT_THE_TOP = (
    "operators/torch_*.py", "devices/*_operators.py", "devices/vendors/ascend_latent.py", "measure/preload.py",
)  # fmt: skip
TORCH_IN_FUNCTIONS = ("operators/torch_*.py", "devices/*.py", "measure/*.py")


class Import(NamedTuple):
    """One import: the module's path below bench/, what is imported, and whether it runs when the module is loaded."""

    file: str
    target: str
    at_top: bool


def imports_of(path: Path, root: Path = BENCH) -> Iterator[Import]:
    file = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text("utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    checked_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        at_top = id(node) not in inside and id(node) not in checked_only
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(file, name.name, at_top)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["bench", *path.relative_to(root).parent.parts][
                    : len(path.relative_to(root).parts) + 1 - node.level
                ]
                base = ".".join([*package, base]).strip(".")
            for name in node.names:
                # `from bench import project` and `from bench.devices import sheet` name a module.
                module = root / Path(*base.split(".")[1:], name.name) if base.split(".")[0] == "bench" else None
                is_module = module is not None and (module.with_suffix(".py").is_file() or module.is_dir())
                yield Import(file, f"{base}.{name.name}" if is_module else base, at_top)


def room_of(file: str) -> str:
    first = file.split("/", maxsplit=1)[0].removesuffix(".py")
    return "bench" if first == "__init__" else first


def sources(root: Path = BENCH) -> list[Path]:
    return [p for p in sorted(root.rglob("*.py")) if "_shelf" not in p.parts]


def wrong_arrows(imports: list[Import]) -> list[str]:
    wrong = []
    for file, target, _ in imports:
        parts = target.split(".")
        if parts[0] != "bench":
            continue
        room, reached = room_of(file), parts[1] if len(parts) > 1 else "bench"
        allowed = ARROWS.get(room)
        if allowed is None:
            wrong.append(f"bench/{file}: room '{room}' has no arrows; add it to ARROWS")
        elif reached not in allowed | {room, "bench"} and (file, reached) not in EXCEPTIONS:
            may = ", ".join(sorted(allowed)) or "nothing of ours"
            wrong.append(f"bench/{file}: room '{room}' imports {target}; it may import {may}")
    return wrong


def cycle(imports: list[Import]) -> list[str]:
    """Return the modules of one import cycle, or []."""
    edges: dict[str, set[str]] = {}
    for file, target, at_top in imports:
        if at_top and target.split(".")[0] == "bench":
            module = ".".join(["bench", *file.removesuffix(".py").removesuffix("/__init__").split("/")])
            edges.setdefault(module, set()).add(target)
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            found = search(target, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    for module in sorted(edges):
        found = search(module, [])
        if found:
            return found
    return []


def matches(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)


def wrong_torch(imports: list[Import]) -> list[str]:
    wrong = []
    for file, target, at_top in imports:
        if target.split(".")[0] not in ("torch", "torch_npu", "torch_musa"):
            continue
        if at_top and not matches(file, TORCH_AT_THE_TOP):
            wrong.append(
                f"bench/{file}: room '{room_of(file)}' imports {target} when it is loaded; import it in a function"
            )
        if not at_top and not matches(file, TORCH_IN_FUNCTIONS):
            wrong.append(f"bench/{file}: room '{room_of(file)}' imports {target}; only devices and measure run torch")
    return wrong


def slow_at_top(imports: list[Import]) -> list[str]:
    return [
        f"bench/{file}: room '{room_of(file)}' imports {target} when it is loaded; import it in a function"
        for file, target, at_top in imports
        if at_top and target.split(".")[0] in ("pandas", "scipy")
    ]


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return [each for path in sources() for each in imports_of(path)]


def test_no_room_imports_what_lies_above_it(imports):
    assert wrong_arrows(imports) == []


def test_no_module_imports_itself_in_a_circle(imports):
    assert " -> ".join(cycle(imports)) == ""


def test_torch_is_imported_only_where_it_runs(imports):
    assert wrong_torch(imports) == []


def test_pandas_and_scipy_are_imported_only_when_asked_for(imports):
    assert slow_at_top(imports) == []


def test_every_exception_is_still_needed(imports):
    used = {(file, target.split(".")[1]) for file, target, _ in imports if target.startswith("bench.")}
    assert used >= EXCEPTIONS


def test_every_room_exists():
    names = {
        path.stem for path in BENCH.iterdir() if path.name not in ("__init__.py", "_shelf", "__pycache__", "py.typed")
    }
    assert names == set(ARROWS) - {"bench"}


# -- the tests above can fail -------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    """Return a function that builds a house of files and reads its imports."""

    def build(**files: str) -> list[Import]:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [each for path in sources(tmp_path) for each in imports_of(path, tmp_path)]

    return build


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"devices__a": "def f():\n    from bench.workloads.model import Model\n", "workloads__model": ""},
            "bench/devices/a.py: room 'devices' imports bench.workloads.model; "
            "it may import errors, operators, project, units",
        ),
        (
            {"errors": "import bench.units\n", "units": ""},
            "bench/errors.py: room 'errors' imports bench.units; it may import nothing of ours",
        ),
        (
            {"results__a": "from bench import cli\n", "cli": ""},
            "bench/results/a.py: room 'results' imports bench.cli; it may import errors, project, units",
        ),
        ({"kitchen__a": "import bench.units\n", "units": ""}, "bench/kitchen/a.py: room 'kitchen' has no arrows; add it to ARROWS"),
        (
            {"workloads__a": "from ..devices import sheet\n", "devices__sheet": ""},
            "bench/workloads/a.py: room 'workloads' imports bench.devices.sheet; "
            "it may import errors, operators, project, units",
        ),
    ],
)  # fmt: skip
def test_a_wrong_arrow_is_told_with_file_and_room(house, files, message):
    assert wrong_arrows(house(**files)) == [message]


def test_a_circle_is_told_module_by_module(house):
    found = cycle(
        house(
            units="from bench.project import x\n", project="import bench.errors\n", errors="from bench import units\n"
        )
    )
    assert found == ["bench.errors", "bench.units", "bench.project", "bench.errors"]


def test_an_import_inside_a_function_makes_no_circle(house):
    assert cycle(house(units="import bench.errors\n", errors="def f():\n    import bench.units\n")) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"devices__cpu": "import torch\n"},
            "bench/devices/cpu.py: room 'devices' imports torch when it is loaded; import it in a function",
        ),
        (
            {"report__a": "def f():\n    import torch.nn\n"},
            "bench/report/a.py: room 'report' imports torch.nn; only devices and measure run torch",
        ),
    ],
)
def test_torch_in_the_wrong_place_is_told_with_file_and_room(house, files, message):
    assert wrong_torch(house(**files)) == [message]


def test_torch_in_the_right_places_is_fine(house):
    built = house(
        operators__torch_operators="import torch\n",
        devices__cpu_operators="from torch import Tensor\n",
        measure__preload="import torch\n",
        measure__case="def f():\n    import torch\n",
    )
    assert wrong_torch(built) == []


def test_pandas_at_the_top_is_told(house):
    built = house(results__a="import pandas as pd\n", results__b="def f():\n    import scipy.stats\n")
    assert slow_at_top(built) == [
        "bench/results/a.py: room 'results' imports pandas when it is loaded; import it in a function"
    ]
