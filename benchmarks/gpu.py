"""A graphics processor measured against its own limits, in less than ten minutes.

usage: python -m benchmarks.gpu [--device cuda:0] [--json FILE]

The device's tests run first: figures of wrong results are worth little. Then the rate at which
the device copies memory, its rate of bf16 products, and a llama of the 8B shape in Q4_K_M with
random weights: tokens that are generated, beside the copying, and a prompt, beside the products.
llama.cpp is measured in the same run if the installed llama-cpp-python can use the device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import llamapy
from llamapy import backends, gguf, quants
from llamapy.backends.gpu.runtime import GPU
from llamapy.cache import Batch
from llamapy.gguf import Stream
from llamapy.tensor import FLOAT32

from . import synthetic

WANTED_GENERATION, WANTED_PROMPT = 0.6, 0.4  # of copying, of bf16 products
SIZES = {"8b": 128256, "1b": 128256, "tiny": 512}  # the vocabulary of each
TILE = 64  # rows of random weights, which a matrix repeats
TEST_SECONDS, PEER_SECONDS = 300, 120  # at most


# ---- the model


def kind(name: str, layers: int) -> str:
    """The format that a Q4_K_M file has for a matrix."""
    if name == "output.weight":
        return "Q6_K"
    if name.endswith(("attn_v.weight", "ffn_down.weight")):
        layer = int(name.split(".")[1])
        more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
        return "Q6_K" if more else "Q4_K"
    return "Q4_K"


def write_model(path: Path, size: str) -> None:
    """A file without a vocabulary, whose weights are noise."""
    layers, n_vocab = synthetic.SIZES[size][0], SIZES[size]
    metadata = synthetic.keys(size, n_vocab) | {"tokenizer.ggml.model": "no_vocab"}
    rng = np.random.default_rng(0)
    tiles: dict[tuple[str, int], bytes] = {}
    tensors: dict[str, Any] = {}
    for name, shape in synthetic.shapes(size, n_vocab, tied=False):
        if len(shape) == 1:
            tensors[name] = np.ones(shape, np.float32)
            continue
        of = (kind(name, layers), shape[1])
        if of not in tiles:
            noise = rng.standard_normal((TILE, of[1]), np.float32) * np.float32(of[1] ** -0.5)
            tiles[of] = quants.get(of[0]).quantize(noise).tobytes()
        tensors[name] = repeated(of[0], shape, tiles[of])
    gguf.write(path, metadata, tensors)


def repeated(quant: str, shape: tuple[int, ...], tile: bytes) -> Stream:
    """A matrix of the same rows again and again."""
    return Stream(quant, shape, lambda: (tile for _ in range(shape[0] // TILE)))


# ---- measuring


def seconds(run: Callable[[], object], sync: Callable[[], object], repeats: int) -> float:
    """The median of some runs, each until the device is done; the first, unmeasured, warms up."""
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        run()
        sync()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def copy_rate(gpu: GPU, n_bytes: int) -> float:
    """Bytes per second, read and written, of a copy within the device's memory."""
    source, target = (gpu.empty((n_bytes // 4,), FLOAT32) for _ in range(2))
    gpu.write(source, np.ones(1, np.float32))
    run = copying(gpu, target.handle, source.handle, n_bytes)
    return 2 * n_bytes / seconds(run, gpu.sync, 10)


def copying(gpu: GPU, target: Any, source: Any, n_bytes: int) -> Callable[[], object]:
    """What the maker of the device offers for it."""
    device: Any = gpu.device
    if device.name == "opencl":
        import pyopencl

        return lambda: pyopencl.enqueue_copy(device._queue, target, source, byte_count=n_bytes)
    runtime = device._runtime

    def run() -> None:
        with device._device:
            runtime.memcpyAsync(
                int(target), int(source), n_bytes, runtime.memcpyDeviceToDevice, device._stream.ptr
            )

    return run


def product_rate(gpu: GPU, n: int = 4096) -> tuple[float, str] | None:
    """Operations per second of the maker's own product of matrices; None if there is none."""
    library: Any = gpu.device.library
    if library is None:
        return None
    x, w = (gpu.empty((n, n // 2), FLOAT32) for _ in range(2))  # numbers of two bytes, n by n
    for buffer in (x, w):
        gpu.device.clear(buffer.handle, buffer.piece.n_bytes)
    out = gpu.empty((n, n), FLOAT32)
    call = library.product(library.kind, (out, 0), (w, 0), (x, 0), (n, n, n), n)

    def run() -> None:
        for _ in range(10):
            gpu.device.launch(call)

    return 10 * 2 * n**3 / seconds(run, gpu.sync, 5), library.kind


def generation(model: llamapy.Model, n_tokens: int) -> float:
    """Seconds for a token, logits on the host and all."""
    cache = model.cache(n_tokens + 64)
    model.run(cache, Batch.of([1] * 16))
    for token in range(8):
        model.run(cache, Batch.of([token]))
    started = time.perf_counter()
    for token in range(n_tokens):
        model.run(cache, Batch.of([token]))
    return (time.perf_counter() - started) / n_tokens


def prompt(model: llamapy.Model, n_tokens: int, repeats: int = 5) -> float:
    """Seconds for a prompt of so many tokens."""
    cache = model.cache(n_tokens, n_batch=n_tokens)
    tokens = np.random.default_rng(1).integers(0, model.decoder.n_vocab, n_tokens).tolist()

    def run() -> None:
        cache.remove(0)
        model.run(cache, Batch.of(tokens))

    return seconds(run, model.backend.sync, repeats)


def run_tests(device: str) -> str:
    """The last line of what pytest says of the device's tests; of failures, all that it says."""
    of_cuda = ["-k", "cuda", "tests/gpu/test_cuda.py", "tests/gpu/test_products.py"]
    tests = ["tests/gpu"] if device.startswith("opencl") else of_cuda
    # without the plugins that the whole suite wants
    how = ["-q", "--maxfail=10", "-o", "addopts=--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", *how, *tests]
    folder = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {TEST_SECONDS} s"
    if done.returncode:
        print(f"{done.stdout[-8000:]}{done.stderr[-2000:]}\nTESTS FAILED", file=sys.stderr)
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return said[-1] if said else f"pytest ended with {done.returncode}"


# ---- llama.cpp, in a process of its own


PEER = """
import json, sys, time
import llama_cpp
from llama_cpp import Llama
if not llama_cpp.llama_supports_gpu_offload():
    sys.exit("this llama-cpp-python was built without a GPU")
path, n_prompt, n_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ids = list(range(n_prompt))
llm = Llama(path, n_gpu_layers=-1, n_ctx=n_prompt + n_tokens + 64, n_batch=n_prompt,
            n_ubatch=n_prompt, verbose=False)
def timed(tokens):
    started = time.perf_counter()
    llm.eval(tokens)
    llama_cpp.llama_synchronize(llm.ctx)
    return time.perf_counter() - started
prompts = []
for _ in range(4):
    llm.reset()
    prompts.append(timed(ids))
for token in range(8):
    timed([token])
tokens = sum(timed([token]) for token in range(n_tokens)) / n_tokens
print(json.dumps({"prompt": sorted(prompts[1:])[1], "token": tokens}))
"""


def peer(path: Path, n_prompt: int, n_tokens: int) -> dict[str, float] | str:
    """llama.cpp's seconds, or why there are none."""
    command = [sys.executable, "-c", PEER, str(path), str(n_prompt), str(n_tokens)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PEER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {PEER_SECONDS} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


# ---- all of it


def say(what: str) -> None:
    """What happens next, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures by name."""
    gpu = backends.get(options.device)
    if not isinstance(gpu, GPU):
        raise SystemExit(f"{gpu.name} is no device for graphics: name cuda, rocm or opencl")
    found: dict[str, Any] = {"device": gpu.device.says, "version": llamapy.__version__}
    say("testing" if not options.skip_tests else "leaving the tests out")
    found["tests"] = "left out" if options.skip_tests else run_tests(gpu.name)
    say("copying, and multiplying")
    found["copy_bytes_per_second"] = copying_rate = copy_rate(gpu, options.copy << 20)
    rate = product_rate(gpu)
    found["product_operations_per_second"], found["product_of"] = rate or (None, None)
    path = folder / f"{options.size}.gguf"
    say(f"writing {path}")
    write_model(path, options.size)
    n_prompt, n_tokens = options.prompt, options.tokens
    say("loading it, generating, and reading a prompt")
    started = time.perf_counter()
    with llamapy.load(path, device=gpu, n_ctx=n_prompt + n_tokens + 64) as model:
        found["load_seconds"] = time.perf_counter() - started
        token, whole = generation(model, n_tokens), prompt(model, n_prompt)
        file = gguf.GGUF.open(path)
        with file:
            read = sum(t.n_bytes for name, t in file.items() if name != "token_embd.weight")
            products = sum(
                int(np.prod(t.shape))
                for name, t in file.items()
                if len(t.shape) == 2 and name not in ("token_embd.weight", "output.weight")
            )
    found |= {
        "generation_tokens_per_second": 1 / token,
        "generation_of_copying": read / token / copying_rate,
        "prompt_tokens_per_second": n_prompt / whole,
        "prompt_of_products": 2 * products * n_prompt / whole / rate[0] if rate else None,
    }
    del model
    say("asking llama.cpp")
    theirs = peer(path, n_prompt, n_tokens)
    if isinstance(theirs, str):
        found["llama_cpp"] = theirs
    else:
        found["generation_over_llama_cpp"] = theirs["token"] / token
        found["prompt_over_llama_cpp"] = theirs["prompt"] / whole
    return found


def table(found: dict[str, Any], size: str) -> str:
    """For people."""

    def share(name: str, wanted: float) -> str:
        value = found[name]
        return "unknown" if value is None else f"{value:.0%} (wanted: {wanted:.0%})"

    def ratio(name: str) -> str:
        return f"{found[name]:.2f}" if name in found else f"none: {found['llama_cpp']}"

    products = found["product_operations_per_second"]
    of = found["product_of"]
    rows = [
        ("device", found["device"]),
        ("tests/gpu", found["tests"]),
        ("copying", f"{found['copy_bytes_per_second'] / 1e9:.1f} GB/s read and written"),
        ("products", f"{products / 1e12:.1f} T/s in {of}" if products else "no library"),
        (f"{size} Q4_K_M, loading", f"{found['load_seconds']:.1f} s"),
        ("generation", f"{found['generation_tokens_per_second']:.1f} tokens/s"),
        ("  of copying", share("generation_of_copying", WANTED_GENERATION)),
        ("  over llama.cpp", ratio("generation_over_llama_cpp")),
        ("prompt", f"{found['prompt_tokens_per_second']:.1f} tokens/s"),
        ("  of products", share("prompt_of_products", WANTED_PROMPT)),
        ("  over llama.cpp", ratio("prompt_over_llama_cpp")),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in [("what", "figure"), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cuda:0, rocm, opencl:1 ...")
    parser.add_argument("--size", choices=SIZES, default="8b")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=128, help="tokens that are generated")
    parser.add_argument("--copy", type=int, default=1024, help="MiB that are copied")
    parser.add_argument("--skip-tests", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the model is written, 5 GB")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(options, Path(folder))
    print(table(found, options.size))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
