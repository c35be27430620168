"""Matrix products of every block format, beside what this machine can do at most.

    python -m benchmarks.matmul                             all formats
    python -m benchmarks.matmul Q4_0 Q6_K --cpu-time        on a machine that others use too

For 512 tokens it gives GMAC/s, and the share of the peak of the instruction that multiplies such
weights (`dot4` of bytes, `dot2` of BF16, or `fma`), which is measured in the same run, before and
after, and the better one counts. For 1 token it gives GB/s, and the share of the rate at which
memory is read, in turns with the product, for that rate may move. `8 : 1` is how many times the
tokens of one in the same time 8 together are. Packing is from a file's bytes in memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from llamapy import threads as pool
from llamapy.backends.cpu import dots, eager, instructions, packing
from llamapy.backends.cpu.floats import FloatLayout
from llamapy.backends.cpu.formats import BLOCK_LAYOUTS, LAYOUTS
from llamapy.backends.cpu.kernel import Kernel, aligned_bytes, kernel, once
from llamapy.backends.cpu.simd import (
    bytes64,
    copies,
    floats16,
    ints16,
    load_bytes64,
    prefetch_once,
    repeat_float,
    repeat_int,
    store,
)

COLUMNS, ROWS, TOKENS = 2048, 4096, 512
STREAMED = 200 << 20
CHAINS = 16
PIECE = 4096


# how many products each instruction makes, of a register's numbers
PRODUCTS = {"dot4": 64, "dot2": 32, "fma": 16}


def instruction_of(layout) -> str:
    """The instruction that multiplies many tokens with such weights."""
    if not issubclass(layout, FloatLayout):
        return "dot4"
    return "dot2" if eager.form(layout, None) is eager.Halves else "fma"


def multiply_into(builder, name: str, total, value):
    """Products of a register with itself, added to a sum."""
    if name == "dot4":
        return dots.dot4(builder, total, value, value, 127)
    value = builder.bitcast(value, total.type if name == "fma" else ints16.llvm)
    if name == "dot2":
        return dots.dot2_bf16(builder, total, value, value)
    return instructions.fma(builder, value, value, total)


@once
def peak_kernel(name: str) -> Kernel:
    """One such instruction after the other, with sixteen sums that do not wait for each other."""
    part, repeat, zero = (
        (ints16, repeat_int, 0) if name == "dot4" else (floats16, repeat_float, 0.0)
    )
    kind = types.UniTuple(part, CHAINS)

    @intrinsic
    def step(typing, sums, value):
        def lower(context, builder, sig, args):
            sums = [builder.extract_value(args[0], k) for k in range(CHAINS)]
            sums = [multiply_into(builder, name, each, args[1]) for each in sums]
            return context.make_tuple(builder, kind, sums)

        return kind(kind, bytes64), lower

    @intrinsic
    def put(typing, at, sums):
        def lower(context, builder, sig, args):
            for k in range(CHAINS):
                each = builder.extract_value(args[1], k)
                instructions.store(builder, each, args[0], 64 * k)
            return context.get_dummy_value()

        return types.void(types.int64, kind), lower

    @kernel(f"peak_{name}")
    def peak(out, first, last, thread):
        value = load_bytes64(out)
        sums = copies(repeat(zero), CHAINS)
        for _ in range(first, last):
            sums = step(sums, value)
        put(out + 64, sums)

    return peak


@intrinsic
def add_lines(typing, sums, address):
    """Four lines of memory, each added to a sum of its own."""
    kind = types.UniTuple(ints16, 4)

    def lower(context, builder, sig, args):
        sums = [builder.extract_value(args[0], k) for k in range(4)]
        lines = [instructions.load(builder, args[1], ints16.llvm, 64 * k) for k in range(4)]
        sums = [builder.add(each, line) for each, line in zip(sums, lines, strict=True)]
        return context.make_tuple(builder, kind, sums)

    return kind(kind, types.int64), lower


def reader(ahead: int):
    """Reads memory from end to end, with or without asking for it ahead of time."""

    @kernel(f"read_memory_{ahead}")
    def read_memory(out, start, first, last, thread):
        sums = copies(repeat_int(0), 4)
        for piece in range(first, last):
            at = start + piece * PIECE
            for _ in range(PIECE // 256):
                if ahead:
                    for line in range(4):
                        prefetch_once(at + ahead + 64 * line)
                sums = add_lines(sums, at)
                at += 256
        store(out, sums[0] + sums[1] + sums[2] + sums[3])

    return read_memory


class Clock:
    """Seconds of the wall, or of the processors shared among the threads."""

    def __init__(self, cpu_time: bool, seconds: float) -> None:
        self.cpu_time, self.seconds = cpu_time, seconds

    def best(self, work, threads: int) -> float:
        return min(self._times(work, threads))

    def typical(self, work, threads: int) -> float:
        return statistics.median(self._times(work, threads))

    def _times(self, work, threads: int) -> list[float]:
        now = time.process_time if self.cpu_time else time.perf_counter
        share = threads if self.cpu_time else 1
        work()
        times, end = [], time.perf_counter() + self.seconds
        while time.perf_counter() < end or not times:
            start = now()
            work()
            times.append((now() - start) / share)
        return times


def split(call, count: int, threads: int):
    """The work, one part for each thread."""
    return lambda: pool.run(call, count, grain=-(-count // threads), threads=threads)


def memory_read(seconds_of, threads: int):
    """GB/s of reading memory, as a function to be called again; `seconds_of` is a clock's."""
    scratch, memory = np.zeros(4096, np.uint8), aligned_bytes(STREAMED)
    memory[:] = 1
    pieces = STREAMED // PIECE
    calls = [reader(ahead).bind(scratch, memory) for ahead in (0, 4096, 8192, 16384)]

    def measure() -> float:
        return STREAMED / min(seconds_of(split(c, pieces, threads), threads) for c in calls) / 1e9

    return measure


def peak_of(name: str, clock: Clock, threads: int) -> float:
    """GMAC/s of an instruction."""
    rounds, call = 400_000, peak_kernel(name).bind(np.zeros(4096, np.uint8))
    seconds = clock.best(split(call, rounds * threads, threads), threads)
    return rounds * threads * CHAINS * PRODUCTS[name] / seconds / 1e9


def limits(clock: Clock, threads: int) -> dict[str, float]:
    """GMAC/s of the dot product, and GB/s of reading: what others leave of it at the moment."""
    return {
        "GMAC/s": peak_of("dot4", clock, threads),
        "GB/s": memory_read(clock.typical, threads)(),
    }


def weights(layout, rows: int) -> np.ndarray:
    """Any bytes, but scales that are numbers."""
    packed = aligned_bytes(layout.packed_bytes(rows, COLUMNS))
    some = np.random.default_rng(0).integers(64, 120, 1 << 16, dtype=np.uint8)
    packed[:] = np.resize(some, packed.size)
    return packed


def product(layout, rows: int, tokens: int):
    """The packed weights, and the product with so many tokens to be called over groups of rows."""
    packed = weights(layout, rows)
    x = np.random.default_rng(0).standard_normal((tokens, COLUMNS)).astype(np.float32)
    ready = eager.prepare(layout, x)
    return packed, eager.bind(layout, packed, ready, np.empty((tokens, rows), np.float32))


def measure(layout, clock: Clock, threads: int, read) -> dict[str, float]:
    packed, call = product(layout, ROWS, TOKENS)
    grain = max(1, eager.BYTES_PER_PIECE * (ROWS // 16) // packed.size)
    seconds = clock.best(
        lambda: pool.run(call, ROWS // 16, grain=grain, threads=threads),
        threads,
    )
    result = {"gmacs": TOKENS * ROWS * COLUMNS / seconds / 1e9}
    rows = int(STREAMED * 8 / layout.bits_per_weight() / COLUMNS) // 16 * 16
    packed, one = product(layout, rows, 1)
    _, eight = product(layout, rows, 8)
    before = read()
    seconds = clock.best(split(one, rows // 16, threads), threads)
    result["gbs"] = packed.size / seconds / 1e9
    result["of_read"] = result["gbs"] / max(before, read())
    result["eight"] = 8 * seconds / clock.best(split(eight, rows // 16, threads), threads)
    result["packs"] = packing_rate(layout, clock, threads)
    return result


def packing_rate(layout, clock: Clock, threads: int) -> float:
    """GB/s of a file's bytes, into memory that is there already."""
    row_bytes = COLUMNS // layout.columns * layout.file_bytes
    rows = (16 << 20) // row_bytes // 16 * 16
    raw = np.random.default_rng(0).integers(0, 256, (rows, row_bytes), dtype=np.uint8)
    packed = weights(layout, rows)
    seconds = clock.best(
        lambda: packing.pack(layout, raw, COLUMNS, out=packed, threads=threads), threads
    )
    return raw.size / seconds / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("formats", nargs="*", default=[*BLOCK_LAYOUTS, "F16", "BF16", "F32"])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure")
    parser.add_argument("--cpu-time", action="store_true", help="as if nobody else were there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock = Clock(options.cpu_time, options.seconds)
    readers = {threads: memory_read(clock.best, threads) for threads in options.threads}
    names = sorted({instruction_of(LAYOUTS[name]) for name in options.formats})
    peaks = {
        threads: {name: peak_of(name, clock, threads) for name in names}
        for threads in options.threads
    }
    rows = {
        name: {each: measure(LAYOUTS[name], clock, each, readers[each]) for each in options.threads}
        for name in options.formats
    }
    for threads, each in peaks.items():
        for name, peak in each.items():
            each[name] = max(peak, peak_of(name, clock, threads))
    if options.json:
        print(json.dumps({"peaks": peaks, "formats": rows}))
        return
    for threads in options.threads:
        most = ", ".join(f"{peak:.0f} by {name}" for name, peak in peaks[threads].items())
        print(f"{threads} threads, GMAC/s at most: {most}")
        print("format   file  packed   GMAC/s  of peak    GB/s  of read   8 : 1   packs GB/s")
        for name, figures in rows.items():
            got, layout = figures[threads], LAYOUTS[name]
            peak = peaks[threads][instruction_of(layout)]
            print(
                f"{name:8s} {layout.file_bytes * 8 / layout.columns:6.3f} "
                f"{layout.bits_per_weight():6.3f} {got['gmacs']:8.0f} "
                f"{100 * got['gmacs'] / peak:6.0f} % {got['gbs']:8.1f} "
                f"{100 * got['of_read']:6.0f} % {got['eight']:7.1f} {got['packs']:11.1f}"
            )


if __name__ == "__main__":
    main()
