"""Kernels that are compiled before they are needed, kept on the disk, and found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llamapy import Cancelled, backends
from llamapy.backends.cpu import ahead, compile_worker, kernel, machine_code
from llamapy.backends.cpu.formats import LAYOUTS
from llamapy.backends.cpu.kernel import Kernel, remade
from llamapy.backends.cpu.matmul import matmul
from llamapy.backends.cpu.norm import rms_norm
from llamapy.backends.cpu.simd import store_i64
from llamapy.cache import Batch
from llamapy.engine import foresight
from llamapy.models import EncoderDecoder
from llamapy.testing import tiny_model
from llamapy.testing.model import invented

ROOT = Path(__file__).parent.parent.parent


@kernel.kernel("test_ahead")
def seven(out, first, last, thread):
    store_i64(out, 7)


def fresh() -> Kernel:
    """The same kernel, as a process that has just begun sees it."""
    return Kernel(seven.function, seven.name)


# ---- machine code


def test_code_is_kept_and_found_again(monkeypatch):
    code = fresh().ready()
    monkeypatch.setattr(kernel, "compile_function", None)  # nobody compiles now
    assert fresh().ready() == code


@pytest.mark.parametrize("harm", ["shorter", "changed", "empty", "of another kernel"])
def test_code_that_is_not_whole_is_not_used(harm):
    one = fresh()
    one.ready()
    whole = one.path.read_bytes()
    spoilt = {
        "shorter": whole[:-100],
        "changed": whole[:-100] + bytes(100),
        "empty": b"",
        "of another kernel": rms_norm.ready() and rms_norm.path.read_bytes(),
    }
    one.path.write_bytes(spoilt[harm])
    assert machine_code.read(one.path, one.symbol) is None
    assert not fresh().is_ready
    code = fresh().ready()
    assert machine_code.read(one.path, one.symbol) == code


def test_a_kernel_s_folder_depends_on_what_it_is_made_of():
    """Formats that are in files of their own are as much its source as the maker's module."""
    paths = [matmul(LAYOUTS[name], 8, streamed=False).path for name in ("Q4_0", "Q4_K")]
    assert paths[0].parent.name.startswith("matmul-simple-")
    assert paths[1].parent.name.startswith("matmul-k-")


def test_two_threads_compile_a_kernel_once(monkeypatch):
    one, compiled = fresh(), []
    one.ready()
    one.path.unlink()

    def slowly(*args):
        compiled.append(args)
        time.sleep(0.1)
        return compile_function(*args)

    compile_function = kernel.compile_function
    monkeypatch.setattr(kernel, "compile_function", slowly)
    addresses = []
    threads = [threading.Thread(target=lambda: addresses.append(one.address)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiled) == 1
    assert len(addresses) == 4
    assert len(set(addresses)) == 1


def test_a_kernel_makes_no_objects():
    def bad(out, first, last, thread):
        store_i64(out, len([k for k in range(first, last)]))

    with pytest.raises(TypeError, match=r"NRT_.*: a kernel makes no objects"):
        Kernel(bad, "test_bad").ready()


# ---- recipes


def test_another_process_can_make_the_same():
    for one in (rms_norm, matmul(LAYOUTS["Q4_K"], 8, streamed=False)):
        assert remade(one.recipe) is one
        assert compile_worker.compile_one(compile_worker.request(one)) is None
    with pytest.raises(TypeError, match="another process cannot be told"):
        compile_worker._to_text(object())


def test_a_worker_says_what_is_wrong():
    request = compile_worker.request(rms_norm).replace("norm-", "other-")
    assert "here its machine code would be" in compile_worker.compile_one(request)
    assert "JSONDecodeError" in compile_worker.compile_one("{")


def test_progress_may_stop_the_work():
    kernels = [fresh() for _ in range(3)]
    with pytest.raises(Cancelled, match="after 2 of 3 kernels"):
        ahead.compile_ahead(kernels, lambda done, total: done < 2)


def test_kernels_that_no_process_can_make_are_compiled_here():
    kernels = [fresh() for _ in range(4)]
    for one in kernels:
        one.recipe = ("there_is_no_such_module", "x", None, {})
    seven.path.unlink(missing_ok=True)
    told = []
    ahead.compile_ahead(kernels, lambda *told_of: told.append(told_of), processes=2)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seven.path.exists()


# ---- what a model needs


@pytest.mark.parametrize(
    "name", ["llama", "gemma2", "gpt2", "bloom", "olmoe", "deepseek2", "mamba", "bert", "t5"]
)
def test_all_kernels_of_a_model_are_foreseen(name, monkeypatch):
    made, asked = [], {}

    def make(backend):
        made.append(invented(name, device=backend))
        return made[-1]

    backend = backends.get("cpu", threads=2)
    monkeypatch.setattr(ahead, "missing", list)
    foreseen = foresight.needed_kernels(make, backend)
    address = kernel.Compiled.address.fget
    monkeypatch.setattr(
        kernel.Compiled, "address", property(lambda k: asked.update({k: 0}) or address(k))
    )
    model = make(backend)
    for n in (1, 3, 20):
        cache = model.cache(32)
        if isinstance(model.decoder, EncoderDecoder):
            model.encode(cache, [1] * n)
        model.run(cache, Batch.of([1] * n))
    assert asked
    assert {one.name for one in asked} <= {one.name for one in foreseen}


# ---- from nothing, in processes

SCRIPT = """
import sys
print("begun")
import llamapy
if "ready" in sys.argv:
    from llamapy.backends.cpu import kernel
    kernel.compile_function = None  # nobody compiles now
model = llamapy.load(sys.argv[1], device="cpu")
print(*model.generate([1, 2, 3], max_tokens=4, temperature=0).tokens)
"""


@pytest.mark.slow
def test_from_nothing(tmp_path):
    """Stopped on the way, then done by a program that is not made to be imported, then there."""
    model = tiny_model(tmp_path / "tiny.gguf", layers=1)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    kept = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LLAMAPY_CACHE": str(kept)}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    warming = subprocess.Popen(
        [sys.executable, "-m", "llamapy", "warmup", model], env=environment, cwd=ROOT
    )
    while not list(kept.rglob("*.kernel")):
        assert warming.poll() is None
        time.sleep(0.05)
    warming.send_signal(signal.SIGINT)
    asked = time.monotonic()
    assert warming.wait() == 130
    assert time.monotonic() - asked < 2
    first = {path: path.read_bytes() for path in kept.rglob("*.kernel")}
    for path, data in first.items():
        assert machine_code.read(path, f"kernel_{path.stem}"), data

    done = run(script, model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "begun"
    assert done.stdout.count("begun") == 1
    assert done.stderr == ""
    assert {path: path.read_bytes() for path in first} == first

    again = run(script, model, "ready")
    assert again.stdout == done.stdout, again.stderr
