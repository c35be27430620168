"""What `doctor` looks at. Each group of checks needs little, for it is run where much is broken."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = __package__.rpartition(".")[0]
# what users of the library have no use for
FOR_DEVELOPERS = ("bench", "dev", "docs")
SEVERAL_KERNELS = 1 << 30  # bytes of a cache that is worth cleaning


@dataclass(frozen=True)
class Check:
    """A fact; `fix` is the command that mends it, or adds what is not there."""

    group: str
    name: str
    value: str
    fix: str = ""
    wrong: bool = False


def checks() -> Iterator[Check]:
    """All of them; a group that fails is a finding itself."""
    for name, group in GROUPS.items():
        try:
            for check in group():
                yield Check(name, *check)
        except Exception as error:  # whatever a broken installation raises
            yield Check(name, "this check", f"failed: {type(error).__name__}: {error}", "", True)


Found = Iterator[tuple[str, str] | tuple[str, str, str] | tuple[str, str, str, bool]]


# ---- versions


@dataclass(frozen=True)
class Requirement:
    """A package that llamapy needs, or has a use for."""

    package: str
    least: str
    exactly: str
    extra: str

    @property
    def pip(self) -> str:
        if self.extra:
            return f"pip install 'llamapy[{self.extra}]'"
        return f"pip install -U '{self.package}{f'>={self.least}' if self.least else ''}'"


_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?([^;]*)(?:;.*extra == ['\"](\w+)['\"])?")


def requirement(line: str) -> Requirement:
    """What a line of a package's metadata says, such as `numpy>=1.26; extra == 'x'`."""
    found = _REQUIREMENT.match(line)
    assert found is not None
    package, rule, extra = found.groups()
    least = re.search(r">=([\w.]+)", rule)
    exactly = re.search(r"==([\w.]+)", rule)
    return Requirement(
        package, least[1] if least else "", exactly[1] if exactly else "", extra or ""
    )


def _versions() -> Found:
    from .._version import __version__

    yield "llamapy", f"{__version__}, in {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()}, {sys.executable}"
    try:
        lines = importlib.metadata.requires("llamapy") or []
    except importlib.metadata.PackageNotFoundError:
        root = Path(__file__).parents[2]
        yield "packages", "llamapy runs from a folder and is not installed", f"pip install {root}"
        return
    seen: set[str] = set()
    for each in sorted(map(requirement, lines), key=lambda each: (each.extra, each.package)):
        if each.extra in FOR_DEVELOPERS or each.package in seen:
            continue
        if each.extra in DEVICE_EXTRAS and _installed(each.package) is None:
            continue  # the devices say themselves whether it would help
        seen.add(each.package)
        yield _package(each)
    if "numba" in seen:
        yield "llvmlite", _installed("llvmlite") or "not installed"


def _package(each: Requirement) -> tuple[str, str, str, bool]:
    version = _installed(each.package)
    needed = not each.extra
    if version is None:
        value = "not installed" if needed else f"not installed, for llamapy[{each.extra}]"
        return each.package, value, each.pip, needed
    if each.least and _numbers(version) < _numbers(each.least):
        return each.package, f"{version}, older than {each.least}", each.pip, True
    return each.package, version, "", False


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """A version that can be compared: what follows the first letters does not count."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()


# ---- the processor


def _processor() -> Found:
    yield "name", f"{processor_name()}, {platform.machine()}"
    targets = importlib.import_module(f"{PACKAGE}.backends.cpu.targets")
    target = targets.current()
    asked = [name for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES") if name in os.environ]
    note = f", as {' and '.join(asked)} say" if asked else ""
    yield "kernels", level(target) + note, f"unset {' '.join(asked)}" if asked else ""
    told = [name for name in FEATURES if target.has(name)]
    yield "features", " ".join(told) or "none that kernels use"


FEATURES: tuple[str, ...] = ("ssse3", "avx", "avx2", "f16c", "fma", "avxvnni", "avx512f")
FEATURES += ("avx512bw", "avx512vl", "avx512vbmi", "avx512vnni", "avx512bf16")
FEATURES += ("neon", "dotprod", "i8mm", "bf16", "sve")


def level(target: object) -> str:
    """Which of the kernels' ways to compute this processor gets, in words."""
    has: Callable[[str], bool] = target.has  # type: ignore[attr-defined]
    if target.is_arm:  # type: ignore[attr-defined]
        return "Arm with dot products of bytes" if has("dotprod") else "Arm without dot products"
    if not target.is_x86:  # type: ignore[attr-defined]
        return "portable: no instructions of this processor are named"
    if target.has_zmm:  # type: ignore[attr-defined]
        return "AVX-512 with VNNI" if has("avx512vnni") else "AVX-512 without VNNI"
    if has("avx2"):
        return "AVX2 with VNNI" if has("avxvnni") else "AVX2"
    return "SSE: right, and slow"


def processor_name() -> str:
    """As its maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


# ---- cores and memory


def _resources() -> Found:
    from ..threads import default_threads

    machine, threads = os.cpu_count() or 1, default_threads()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    yield "cores", f"{allowed} of {machine} may be used, {threads} threads are"
    quota = processor_quota()
    if quota is not None and threads > quota + 0.5:
        few = max(1, round(quota))
        value = f"{quota:g} cores' time is allowed: {threads} threads wait for each other"
        yield "quota", value, f"export LLAMAPY_THREADS={few}"
    free = importlib.import_module(f"{PACKAGE}.engine.available").available_bytes()
    yield "memory", "unknown" if free is None else f"{_size(free)} free, within its container"


def processor_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """How many cores' time the control group allows, if it says."""
    for file, parts in (("cpu.max", 2), ("cpu/cpu.cfs_quota_us", 1)):
        try:
            words = (root / file).read_text().split()
            period = words[1] if parts == 2 else (root / "cpu/cpu.cfs_period_us").read_text()
            quota = int(words[0]) / int(period)
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
        if quota > 0:
            return quota
    return None


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 1 << 30 else f"{n_bytes / 2**20:.1f} MiB"


# ---- what is kept between runs


def _caches() -> Found:
    cache_root = importlib.import_module(f"{PACKAGE}.jit").cache_root
    root: Path = cache_root()
    note = " (LLAMAPY_CACHE)" if os.environ.get("LLAMAPY_CACHE") else ""
    problem, fix = folder_problem(root)
    yield "folder", f"{root}{note}{problem and ': '}{problem}", fix, bool(problem)
    kernels = root / "kernels"
    if not kernels.is_dir():
        yield "kernels", "none yet: the first start compiles them", "llamapy warmup"
        return
    foreign = [path for path in kernels.iterdir() if folder_problem(path)[0]]
    if foreign:
        value = f"{len(foreign)} folders are not yours alone, and are left alone: {foreign[0]} ..."
        yield "kernels", value, f"rm -r '{kernels}'", True
    sizes = [path.stat().st_size for path in kernels.rglob("*") if path.is_file()]
    value = f"{len(sizes)} files, {_size(sum(sizes))}"
    # those of earlier versions stay until somebody removes them
    yield "kernels", value, f"rm -r '{kernels}'" if sum(sizes) > SEVERAL_KERNELS else ""


def folder_problem(folder: Path) -> tuple[str, str]:
    """What is wrong with a cache folder, if anything, and the command that mends it."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK) or not there.is_dir():
        return "cannot be written to", "export LLAMAPY_CACHE=FOLDER, one that is yours"
    if there != folder or not hasattr(os, "getuid"):
        return "", ""
    status = folder.stat()
    if status.st_uid != os.getuid():
        return "belongs to somebody else", f"sudo chown -R $USER '{folder}'"
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it", f"chmod -R go-w '{folder}'"
    return "", ""


# ---- devices


# the packages of a device by its name: what pip is to install if the hardware is there
DEVICE_EXTRAS = {"cuda12": "cuda", "cuda13": "cuda", "rocm": "rocm", "opencl": "opencl"}
DEVICE_EXTRAS |= {"pocl": "opencl"}


def _devices() -> Found:
    backends = importlib.import_module(f"{PACKAGE}.backends")
    for name in backends.DEVICES:
        if importlib.util.find_spec(f"{backends.__name__}.{name}") is None:
            yield name, "not in this version of llamapy"
            continue
        module = importlib.import_module(f"{backends.__name__}.{name}")
        problem = module.problem() if hasattr(module, "problem") else ""
        if not problem:
            there = module.found() if hasattr(module, "found") else []
            more = ", and is slow" if name == "numpy" else ""
            yield name, f"can be used{': ' if there else more}{', '.join(there)}"
        elif name == "cpu":
            yield name, f"cannot be used: {problem}", "pip install -U numba numpy", True
        else:
            yield name, f"cannot be used: {problem}", device_fix(name)
    yield "auto", f"is {backends.automatic()}"


def device_fix(name: str) -> str:
    """The command that adds what a device lacks, where its hardware is there."""
    if name == "cuda" and shutil.which("nvidia-smi") and not _has_module("cupy"):
        return f"pip install 'llamapy[{cuda_extra()}]'"
    if name == "rocm" and Path("/dev/kfd").exists() and not _has_module("cupy"):
        return "pip install 'llamapy[rocm]'"
    if name == "opencl" and not _has_module("pyopencl"):
        return "pip install 'llamapy[opencl]'"
    return ""


def cuda_extra() -> str:
    """Which CUDA the driver is for: those from 580 on know version 13."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cuda12"
    return "cuda13" if _numbers(done.stdout.strip()) >= (580,) else "cuda12"


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


# ---- talking with a model


def _model() -> Found:
    path = importlib.import_module(f"{PACKAGE}.engine.load").default_path()
    yield "default", f"{path}, {_size(path.stat().st_size)}"


def _terminal() -> Found:
    if _has_module("readline"):
        yield "readline", "there: chats have a history"
    else:
        yield "readline", "missing: chats have no history", "pip install pyreadline3"
    encoding = sys.stdout.encoding or "unknown"
    utf8 = encoding.lower().replace("-", "") == "utf8"
    value = encoding if utf8 else f"{encoding}: other characters are written as escapes"
    yield "encoding", value, "" if utf8 else "export PYTHONUTF8=1"


GROUPS: dict[str, Callable[[], Found]] = {
    "versions": _versions,
    "processor": _processor,
    "cores and memory": _resources,
    "caches": _caches,
    "devices": _devices,
    "model": _model,
    "terminal": _terminal,
}
