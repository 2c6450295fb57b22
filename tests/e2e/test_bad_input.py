"""Whatever is wrong with what a person wrote is one line that names it, and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., Any]

FLAGS: dict[str, tuple[str, str]] = {
    # unknown names, with what is near
    "run mini-dens-decode": ("unknown workload or suite 'mini-dens-decode'", "did you mean 'mini-dense-decode'"),
    "run smok": ("unknown workload or suite 'smok'", "did you mean 'smoke'"),
    "run zzz": ("unknown workload or suite 'zzz'", "see: bench workloads"),
    "run gem[m=1]": ("unknown workload or suite 'gem[m=1]'", "did you mean 'gemm'"),
    "run mini-dense-decode[b=1,ctx=2k,bf16]": ("no case", "'mini-dense-decode[b=1,ctx=1k,bf16]'", "sweep flags"),
    "run mini-dense-decode[b=1": ("no case", "'mini-dense-decode[b=1,ctx=1k,bf16]'", "bench workloads mini-dense-decode"),
    "run *ctx=7": ("no case '*ctx=7'", "bench workloads"),
    "run gemm -d h100-smx": ("unknown device 'h100-smx'", "did you mean 'h100-sxm'"),
    "run gemm -d zzz": ("unknown device 'zzz'", "here: cpu"),
    "run mini-dense-decode --model llama-3.1-8": ("unknown model 'llama-3.1-8'", "did you mean 'llama-3.1-8b'"),
    "workloads zzz": ("unknown workload or suite 'zzz'", "see: bench workloads"),
    "workloads --suite smok": ("unknown workload or suite 'smok'", "'smoke'"),
    "devices h100-smx": ("unknown device 'h100-smx'", "'h100-sxm'"),
    "devices --vendor nvida": ("no sheet of vendor 'nvida'", "'nvidia'"),
    "compare h100-smx h20": ("'h100-smx' is neither a run file nor a device", "'h100-sxm'"),
    "compare h100-sxm cpu": ("'cpu' is on this machine, so it is measured", "bench run -d cpu"),
    "compare h100-sxm h20 -w gem": ("unknown workload or suite 'gem'", "'gemm'"),
    "explain gemm -d h100-smx": ("unknown device 'h100-smx'", "'h100-sxm'"),
    "explain gemm[m=7 -d h100-sxm": ("no case 'gemm[m=7'", "see: bench workloads gemm"),
    "explain mfuu": ("'mfuu' is not a metric", "did you mean 'mfu' or 'mbu'"),
    "explain zzz": ("'zzz' is not a metric", "bench run"),
    "calibrate -d h100-sxm": ("h100-sxm", "cpu"),
    # sizes
    "run gemm --batch 3": ("--batch", "none of the chosen workloads has it"),
    "run mini-dense-decode --batch 0": ("--batch: '0'", "positive whole number"),
    "run mini-dense-decode --batch -1": ("--batch: '-1'", "positive whole number"),
    "run mini-dense-decode --batch x": ("--batch: 'x'", "such as 8, 512 or 4k"),
    "run mini-dense-decode --batch 1,,2": ("--batch: ''", "positive whole number"),
    "run mini-dense-decode --batch 1:2": ("--batch: '1:2'", "FIRST:LAST:xFACTOR"),
    "run mini-dense-decode --batch 8:1:x2": ("'8:1:x2'", "ends below its start"),
    "run mini-dense-decode --context 1k:8k:x1": ("step 'x1'", "x2 or more"),
    "run mini-dense-decode --context 1:5001:+1": ("cases", "5000"),
    "run mini-dense-prefill --prefix -5": ("--prefix: '-5'", "positive whole number"),
    # deployments
    "run llama-3.1-8b-decode -d h100-sxm --tp 3": ("tp = 3 does not divide the 32 heads", "Llama-3.1-8B"),
    "run deepseek-r1-decode -d h100-sxm --ep 7": ("ep = 7 does not divide", "128"),
    "run mini-dense-decode --ep 2 --tp 2": ("ep = 2, but mini-dense has no experts", "mini-dense-decode"),
    "run gemm --tp 0": ("'--tp'", "bench run --help"),
    # precision and routing
    "run gemm --dtype fp12": ("dtype 'fp12'", "did you mean 'fp"),
    "run mini-moe-decode --routing zip": ("--routing 'zip'", "uniform, zipf:1.2"),
    "run mini-moe-decode --routing zipf:x": ("--routing 'zipf:x'", "zipf:1.2"),
    "run mini-moe-decode --routing zipf:99": ("s is 99", "between 0 (uniform) and 10"),
    "run mini-moe-decode --routing k-hot": ("hot", "k-hot:4"),
    "run mini-moe-decode --routing k-hot:2 -d h100-sxm": ("uses 2 experts but every token needs 4", "4 or more"),
    "run mini-moe-decode --routing trace:nowhere.txt": ("nowhere.txt", "cannot be read"),
    # limits
    "run --time 0": ("'--time'", "0.05"),
    "run --time soon": ("'--time'", "'soon'"),
    "run --time nan": ("'--time'", "'nan' is no finite number"),
    "run --limit nan": ("'--limit'", "'nan' is no finite number"),
    "run --memory inf": ("'--memory'", "'inf' is no finite number"),
    "check --confirm-time nan": ("'--confirm-time'", "'nan' is no finite number"),
    "run --limit 0": ("'--limit'", "bench run --help"),
    "run --memory 0": ("'--memory'", "bench run --help"),
    "run --format xml": ("'xml'", "'jsonl'"),
    # the command line itself
    "frobnicate": ("no command 'frobnicate'", "commands: run, compare"),
    "comp": ("no command 'comp'", "did you mean 'compare'"),
    "--frobnicate": ("--frobnicate", "bench --help"),
    "run --bach 1": ("--bach", "--batch"),
    "compare": ("A B", "bench compare --help"),
    "compare h100-sxm": ("two sides are needed", "ascend-910c h100-sxm"),
    "completion tcsh": ("'tcsh'", "'fish'"),
    "devices a b": ("b", "bench devices --help"),
}  # fmt: skip


def _one_line(done: Any, *fragments: str) -> None:
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("error: ")
    for fragment in fragments:
        assert fragment in done.err
    assert (done.code, done.out) == (2, "")
    assert not list(done.folder.glob("results/runs/*"))


@pytest.mark.parametrize("line", FLAGS)
def test_a_wrong_word_is_one_line_that_names_it_and_the_next_step(bench: Bench, line: str) -> None:
    _one_line(bench(*line.split()), *FLAGS[line])


DECODE = 'summary = "x"\nphase = "decode"\nmodel = "mini-dense"\n'
KERNEL = 'summary = "x"\nphase = "kernel"\nkernel = "gemm"\n'
WORKLOADS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a misspelt key": (DECODE + "batchs = 3", ("unknown key 'batchs'", "'batch'")),
    "an unknown key": (DECODE + "zzzzzz = 3", ("unknown key 'zzzzzz'", "workloads/README.md")),
    "a wrong type": (DECODE + "batch = true", ("batch", "bool")),
    "a negative size": (DECODE + "batch = -3", ("batch", "-3")),
    "a range that is none": (DECODE + 'batch = "1:2"', ("batch", "'1:2'")),
    "a missing key": ('phase = "decode"\nmodel = "mini-dense"', ("summary",)),
    "an empty file": ("", ("summary",)),
    "an unknown phase": ('summary = "x"\nphase = "dekode"', ("phase", "dekode")),
    "an unknown model": (DECODE.replace("mini-dense", "mini-dens"), ("unknown model 'mini-dens'", "'mini-dense'")),
    "an unknown dtype": (DECODE + 'dtype = "fp12"', ("fp12", "bf16")),
    "a misspelt deployment": (DECODE + "[deployment]\ntpp = 3", ("unknown key 'tpp' in [deployment]", "'tp'")),
    "a misspelt suite key": (DECODE + "[suites]\nsmoke = { batc = 3 }", ("unknown key 'batc'", "'batch'")),
    "an unknown routing": (DECODE + '[routing]\nkind = "zip"', ("routing", "zip")),
    "an unknown kernel": (KERNEL.replace("gemm", "gem") + "points = [{ m = 1 }]", ("kernel is 'gem'", "gemm")),
    "missing dimensions": (KERNEL + "points = [{ m = 1 }]", ("needs the dims", "'k', 'm', 'n'")),
    "text that is no TOML": ('summary = "x', ("not valid TOML",)),
}  # fmt: skip


@pytest.mark.parametrize("what", WORKLOADS)
def test_a_wrong_workload_of_ones_own_is_one_line_that_names_file_or_key(
    bench: Bench, define: Callable[[str, str], Path], what: str
) -> None:
    text, fragments = WORKLOADS[what]
    define("workloads/mine.toml", text)
    done = bench("run", "mine", "-d", "h100-sxm")
    _one_line(done, *fragments)
    if what != "an unknown model":  # that line names the model, which may come from a flag
        assert "mine" in done.err


def test_a_wrong_workload_of_ones_own_does_not_stop_the_others(
    bench: Bench, define: Callable[[str, str], Path]
) -> None:
    define("workloads/mine.toml", "summary = 3")
    assert bench("run", "rms-norm", "-d", "h100-sxm").code == 0


def test_a_wrong_model_of_ones_own_is_one_line(bench: Bench, define: Callable[[str, str], Path]) -> None:
    define("workloads/models/mine.toml", 'name = "x"\nsource = "y"\narchitecture = "z"\nlayers = 1\nhiden = 3')
    _one_line(bench("run", "mini-dense-decode", "--model", "mine", "-d", "h100-sxm"),
              "workloads/models/mine.toml", "unknown key 'hiden'", "'hidden'")  # fmt: skip
    define("workloads/models/mine.toml", 'name = "x"\nsource = "y"\narchitecture = "z"\nlayers = "1"')
    _one_line(bench("run", "mini-dense-decode", "--model", "mine", "-d", "h100-sxm"),
              "workloads/models/mine.toml", "layers", "str")  # fmt: skip


SHEET = 'name = "M"\nvendor = "Me"\nadapter = "nvidia"\ntorch_device = "cuda"\nchecked = "2026-11-21"\n[peak_tflops]\n'
SHEETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a misspelt key": (SHEET + 'bf16 = { value = 1, source = "a", confidance = "A" }', ("'confidance'", "'confidence'")),
    "a wrong type": (SHEET + 'bf16 = { value = "1", source = "a", confidence = "A" }', ("peak_tflops", "str")),
    "an unknown dtype": (SHEET + 'bf61 = { value = 1, source = "a", confidence = "A" }', ("'bf61'", "bf16")),
    "a negative peak": (SHEET + 'bf16 = { value = -1, source = "a", confidence = "A" }', ("peak_tflops.bf16", "-1")),
    "a missing key": ('name = "M"', ("vendor",)),
}  # fmt: skip


@pytest.mark.parametrize("what", SHEETS)
def test_a_wrong_sheet_of_ones_own_is_one_line_that_names_file_and_key(
    bench: Bench, define: Callable[[str, str], Path], what: str
) -> None:
    text, fragments = SHEETS[what]
    define("devices/mine.toml", text)
    _one_line(bench("run", "gemm", "-d", "mine"), "devices/mine.toml", *fragments)
    _one_line(bench("compare", "mine", "h100-sxm"), "devices/mine.toml", *fragments)


RESULTS: dict[str, tuple[str, ...]] = {
    "missing.json": ("missing.json", "no such file", "results/runs"),
    "empty.json": ("empty.json", "not readable as JSON", "bench run"),
    "truncated.json": ("truncated.json", "cut off", "bench run"),
    "text.json": ("text.json", "not readable as JSON", "bench run"),
    "foreign.json": ("foreign.json", "not a bench run file", "bench run"),
    "list.json": ("list.json", "not a bench run file", "bench run"),
    "newer.json": ("newer.json", "schema 99 is newer", "upgrade accelbench"),
    "folder.json": ("folder.json", "is a directory"),
    "empty.jsonl": ("empty.jsonl", "no whole line"),
    "foreign.jsonl": ("foreign.jsonl", "not a bench run file"),
}


@pytest.fixture
def broken(modelled: Any, tmp_path: Path) -> Path:
    """A folder of run files with something wrong."""
    text = modelled.run_files[0].read_text()
    files = {
        "empty.json": "", "truncated.json": text[:300], "text.json": "hello", "foreign.json": '{"a": 1}',
        "list.json": "[1, 2]", "newer.json": json.dumps({**json.loads(text), "schema": 99}), "empty.jsonl": "",
        "foreign.jsonl": '{"a": 1}\n',
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder.json").mkdir()
    return tmp_path


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", RESULTS)
def test_a_run_file_that_is_none_is_one_line_for_every_command_that_reads_it(bench: Bench, name: str) -> None:
    _one_line(bench("compare", name, "h100-sxm"), *RESULTS[name])
    _one_line(bench("explain", "rms-norm", "--run", name), *RESULTS[name])
    _one_line(bench("run", "--resume", name), *RESULTS[name])


def test_a_run_that_is_complete_cannot_be_resumed(bench: Bench, modelled: Any) -> None:
    _one_line(bench("run", "--resume", str(modelled.run_files[0])), "this run is complete", "jsonl")


def test_a_run_without_rows_cannot_be_compared(bench: Bench, modelled: Any, tmp_path: Path) -> None:
    content = {**json.loads(modelled.run_files[0].read_text()), "rows": []}
    (tmp_path / "none.json").write_text(json.dumps(content))
    _one_line(bench("compare", "none.json", "h100-sxm"), "none.json", "holds no rows")


def test_a_run_file_that_may_not_be_read_is_one_line(bench: Bench, modelled: Any, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv to give that up")
        prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    file = shutil.copy(modelled.run_files[0], tmp_path / "closed.json")
    Path(file).chmod(0o000)
    _one_line(bench("compare", "closed.json", "h100-sxm", prefix=prefix), "closed.json", "permission denied")
