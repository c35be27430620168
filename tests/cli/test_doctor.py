"""`llamapy doctor` tells what is there, what is missing, and what adds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from llamapy.backends import DEVICES
from llamapy.backends.cpu.targets import parse
from llamapy.cli import _checks, main


def test_this_machine(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LLAMAPY_CACHE", str(tmp_path / "cache"))
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] == (status == 0) == (not any(check["wrong"] for check in found["checks"]))
    by_name = {(check["group"], check["name"]): check for check in found["checks"]}
    assert {name for group, name in by_name if group == "devices"} == {*DEVICES, "auto"}
    assert by_name["devices", "numpy"]["value"].startswith("can be used")
    assert by_name["caches", "kernels"]["fix"] == "llamapy warmup"
    main(["doctor"])
    printed = capsys.readouterr().out
    for group, name in by_name:
        assert f"\n{group}\n" in f"\n{printed}"
        assert name in printed
    assert "-> llamapy warmup" in printed


def test_something_wrong_is_an_exit_status(capsys, monkeypatch):
    broken = [_checks.Check("devices", "cpu", "cannot be used", "pip install numba", True)]
    monkeypatch.setattr("llamapy.cli.doctor.checks", lambda: iter(broken))
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "! cpu  cannot be used" in printed
    assert "1 of these are wrong" in printed
    broken[0] = _checks.Check("devices", "cpu", "can be used")
    assert main(["doctor"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_it_runs_where_much_is_broken():
    """Without NumPy, Numba and rich."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numpy', 'numba', 'rich'))); "
        "from llamapy.cli import main; sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be imported" in done.stdout
    assert "-> pip install -U numba numpy" in done.stdout
    assert done.stderr == ""


def test_a_group_that_fails_is_a_finding(monkeypatch):
    def fails():
        yield "first", "there"
        raise OSError("no")

    monkeypatch.setattr(_checks, "GROUPS", {"group": fails})
    assert list(_checks.checks()) == [
        _checks.Check("group", "first", "there"),
        _checks.Check("group", "this check", "failed: OSError: no", "", True),
    ]


@pytest.mark.parametrize(
    ("version", "wrong", "fix"),
    [
        (None, True, "pip install -U 'numba>=0.61'"),
        ("0.9", True, "pip install -U 'numba>=0.61'"),
        ("0.61", False, ""),
        ("1.0rc1", False, ""),
    ],
)
def test_versions(monkeypatch, version, wrong, fix):
    monkeypatch.setattr(_checks, "_installed", lambda package: version)
    _, _, found_fix, found_wrong = _checks._package(_checks.requirement("numba>=0.61"))
    assert (found_wrong, found_fix) == (wrong, fix)


def test_a_package_that_is_only_of_use_is_not_wrong(monkeypatch):
    monkeypatch.setattr(_checks, "_installed", lambda package: None)
    line = 'safetensors[numpy]>=0.5; extra == "convert"'
    assert _checks.requirement(line) == _checks.Requirement("safetensors", "0.5", "", "convert")
    _, value, fix, wrong = _checks._package(_checks.requirement(line))
    assert not wrong
    assert "llamapy[convert]" in value
    assert fix == "pip install 'llamapy[convert]'"


@pytest.mark.parametrize(
    ("machine", "features", "level"),
    [
        ("x86_64", "+avx512f,+avx512bw,+avx512vl,+avx512vnni", "AVX-512 with VNNI"),
        ("x86_64", "+avx512f,+avx512bw,+avx512vl", "AVX-512 without VNNI"),
        ("x86_64", "+avx2,+avxvnni", "AVX2 with VNNI"),
        ("x86_64", "+avx2", "AVX2"),
        ("x86_64", "+sse2", "SSE: right, and slow"),
        ("aarch64", "+neon,+dotprod", "Arm with dot products of bytes"),
        ("aarch64", "+neon", "Arm without dot products"),
        ("riscv64", "", "portable: no instructions of this processor are named"),
    ],
)
def test_levels(machine, features, level):
    assert _checks.level(parse(f"{machine}-unknown-linux-gnu", features)) == level


def test_quotas(tmp_path):
    assert _checks.processor_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert _checks.processor_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert _checks.processor_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert _checks.processor_quota(tmp_path) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions differ there")
def test_cache_folders(tmp_path, monkeypatch):
    assert _checks.folder_problem(tmp_path / "new" / "folder") == ("", "")
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    assert _checks.folder_problem(folder) == ("", "")
    folder.chmod(0o777)
    assert _checks.folder_problem(folder) == ("others may write to it", f"chmod -R go-w '{folder}'")
    monkeypatch.setattr(os, "getuid", lambda: -1)
    assert _checks.folder_problem(folder)[0] == "belongs to somebody else"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    problem, fix = _checks.folder_problem(folder)
    assert problem == "cannot be written to"
    assert "LLAMAPY_CACHE" in fix


@pytest.mark.parametrize(("driver", "extra"), [("580.65.06\n", "cuda13"), ("550.1\n", "cuda12")])
def test_which_cuda(monkeypatch, driver, extra):
    done = SimpleNamespace(stdout=driver)
    monkeypatch.setattr(_checks.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(_checks.shutil, "which", lambda name: name)
    monkeypatch.setattr(_checks, "_has_module", lambda name: False)
    assert _checks.device_fix("cuda") == f"pip install 'llamapy[{extra}]'"
    monkeypatch.setattr(_checks.shutil, "which", lambda name: None)
    assert _checks.device_fix("cuda") == ""
