"""Compiled kernels: kept on disk, found again, thrown away when a source changes, never shared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamapy import jit

HELPER = "import numba\n@numba.njit\ndef amount():\n    return {amount}\n"
KERNEL = """
import sys
from llamapy.jit import kernel
from llamapy.helper_of_test import amount

@kernel
def add(x):
    return x + amount()

print(add(1), len(add.stats.cache_hits))
"""


def test_halves_are_exact():
    from llamapy.jit import float_to_half, half_to_float

    halves = np.arange(65536, dtype=np.uint16)
    values = halves.view(np.float16).astype(np.float32)
    for half, value in zip(halves[::37], values[::37], strict=True):
        got = half_to_float(half)
        assert got == value or (np.isnan(got) and np.isnan(value))
    values = values[~np.isnan(values)]
    around = np.concatenate([np.nextafter(values, np.float32(s)) for s in (-np.inf, np.inf)])
    with np.errstate(over="ignore", invalid="ignore"):
        middles = (values[:-1] + values[1:]) / 2
    samples = np.concatenate([values, around, middles]).astype(np.float32)
    samples = samples[~np.isnan(samples)]
    with np.errstate(over="ignore"):
        wanted = samples.astype(np.float16).view(np.uint16)
    got = np.array([float_to_half(x) for x in samples[::29]], np.uint16)
    assert np.array_equal(got, wanted[::29])


@pytest.fixture
def package(tmp_path):
    """A package of the same name whose parts can be changed, and a cache of its own."""
    source = Path(jit.__file__).parent
    copy = tmp_path / "llamapy"
    copy.mkdir()
    for name in ("jit.py",):
        (copy / name).write_text((source / name).read_text())
    (copy / "__init__.py").write_text("")

    def run(amount):
        (copy / "helper_of_test.py").write_text(HELPER.format(amount=amount))
        (copy / "kernel_of_test.py").write_text(KERNEL)
        done = subprocess.run(
            [sys.executable, "-c", "import llamapy.kernel_of_test"],
            env={**os.environ, "PYTHONPATH": str(tmp_path), "LLAMAPY_CACHE": str(tmp_path / "c")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]

    run.cache = tmp_path / "c" / "kernels"
    return run


def test_kernels_are_cached_until_a_helper_changes(package):
    assert package(amount=1) == [2, 0]
    assert package(amount=1) == [2, 1]
    assert package(amount=5) == [6, 0]
    folders = list(package.cache.iterdir())
    assert len(folders) == 2
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX permissions")
def test_a_folder_that_others_may_write_to_is_not_used(package):
    package(amount=1)
    (folder,) = package.cache.iterdir()
    folder.chmod(0o777)
    assert package(amount=1) == [2, 0]


def test_kernels_work_where_nothing_can_be_kept(package):
    package.cache.parent.mkdir()
    package.cache.write_text("a file where the folder should be")
    assert package(amount=3) == [4, 0]
