"""The environment is collected without torch, and on machines that show less than this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.results import environment
from bench.results.environment import (
    collect,
    command_line,
    commit,
    container,
    governor,
    image,
    load_average,
    packages,
    settings,
)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Return a folder in which absolute paths are looked up, instead of the machine's own root."""
    monkeypatch.setattr(environment, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_collecting_does_not_import_torch():
    code = (
        "import sys; from bench.results.environment import collect;"
        "e = collect('bench', {}, 'f'); print('torch' in sys.modules, e.packages.get('torch') is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"


def test_what_is_collected_can_be_written_and_read_back():
    found = collect("bench run", {"cpu": {"name": "A CPU"}}, "abc")
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_the_cpu_is_named_by_its_device_where_it_is_one():
    assert collect("", {"cpu": {"name": "A CPU"}}, "abc").cpu == "A CPU"


def test_a_machine_without_any_of_the_extras_is_described(tmp_path, monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    def no_load():
        raise OSError("not shown")

    monkeypatch.setattr(environment, "Path", lambda path: tmp_path / "nothing" / str(path).lstrip("/"))
    monkeypatch.setattr(subprocess, "run", no_git)
    monkeypatch.setattr(os, "getloadavg", no_load)
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    found = collect("bench", {}, "abc")
    assert (found.governor, found.load_average, found.commit, found.container) == (None, None, None, None)
    assert found.packages == {}
    assert found.cores >= 1


def test_a_system_without_load_averages_has_none(monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    assert load_average() is None


def test_the_governor_is_read_where_there_is_one(elsewhere):
    folder = elsewhere / "sys/devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("performance\n")
    assert governor() == "performance"


def test_a_virtual_machine_shows_no_governor(elsewhere):
    assert governor() is None


@pytest.mark.parametrize(("mark", "kind"), [(".dockerenv", "docker"), ("run/.containerenv", "podman")])
def test_a_container_is_known_by_its_mark(mark, kind, elsewhere):
    (elsewhere / mark).parent.mkdir(exist_ok=True)
    (elsewhere / mark).touch()
    assert container() == kind


def test_kubernetes_is_known_by_its_service(elsewhere, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert container() == "kubernetes"


@pytest.mark.parametrize(
    ("groups", "kind"),
    [
        ("0::/kubepods/burstable/pod1/abc", "kubernetes"),
        ("4:memory:/docker/abc\n1:cpu:/docker/abc", "docker"),
        ("0::/machine.slice/libpod-abc.scope", "podman"),
        ("0::/lxc/abc", "lxc"),
        ("0::/user.slice/session-1.scope", None),
    ],
)
def test_a_container_without_a_mark_is_known_by_its_control_group(groups, kind, elsewhere, monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "container"):
        monkeypatch.delenv(name, raising=False)
    (elsewhere / "proc/self").mkdir(parents=True)
    (elsewhere / "proc/self/cgroup").write_text(groups + "\n")
    assert container() == kind


def test_a_container_of_systemd_s_says_so_itself(elsewhere, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("container", raising=False)
    (elsewhere / "run/systemd").mkdir(parents=True)
    (elsewhere / "run/systemd/container").write_text("systemd-nspawn\n")
    assert container() == "systemd-nspawn"
    monkeypatch.setenv("container", "lxc")
    assert container() == "lxc"


def test_an_image_is_known_where_podman_or_gitlab_tells_it(elsewhere, monkeypatch):
    monkeypatch.delenv("CI_JOB_IMAGE", raising=False)
    assert image() is None
    monkeypatch.setenv("CI_JOB_IMAGE", "python:3.11")
    assert image() == "python:3.11"
    (elsewhere / "run").mkdir()
    (elsewhere / "run/.containerenv").write_text('engine="podman-5.3.1"\nimage="x:latest"\nimageid="5f2e"\n')
    assert image() == "5f2e"


def test_an_unprivileged_podman_container_is_told_no_image(elsewhere, monkeypatch):
    monkeypatch.delenv("CI_JOB_IMAGE", raising=False)
    (elsewhere / "run").mkdir()
    (elsewhere / "run/.containerenv").write_text("")
    assert (container(), image()) == ("podman", None)


def test_another_image_is_a_setting_that_moved(environment):
    assert settings(environment(image="5f2e"))["image"] == "5f2e"
    assert settings(environment())["image"] == "not known"


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("msgspec", "no-such-package"))
    assert list(packages()) == ["msgspec"]


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None


def test_a_commit_with_changes_is_marked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = commit()
    assert len(clean) == 12
    (tmp_path / "a").write_text("2")
    assert commit() == clean + "+"


def test_a_baseline_that_was_added_to_makes_no_other_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "main.json").write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = commit()
    (tmp_path / "results" / "main.json").write_text("two")
    assert commit() == clean
    assert not clean.endswith("+")


def test_a_git_that_does_not_answer_costs_the_commit_only(monkeypatch):
    def hang(words, timeout, **_):
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert commit() is None


def test_the_command_line_has_the_programs_plain_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/bench", "run", "smoke"])
    assert command_line() == "bench run smoke"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bench/__main__.py", "run", "smoke"])
    assert command_line() == "bench run smoke"


def test_the_command_line_can_be_pasted_into_a_shell(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench", "run", "gemm[m=1,*", "my file"])
    assert command_line() == "bench run 'gemm[m=1,*' 'my file'"


def test_a_file_name_that_is_not_utf_8_can_be_written(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/bench", "run", "--out", os.fsdecode(b"r\xe9sultats")])
    found = collect(command_line(), {}, "abc")
    assert found.command == "bench run --out 'r?sultats'"
    assert b"r?sultats" in msgspec.json.encode(found)
