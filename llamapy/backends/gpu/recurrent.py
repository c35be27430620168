"""Recurrences: what tokens leave behind for those that follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .device import Call
from .memory import Buffer
from .signed import kernels, lane_for_each
from .source import Program

LANES = 128
WARPS = LANES // 32


def room(values: int) -> int:
    """How many values a lane has room for, of so many that it may need: few programs do."""
    return max(4, 1 << (values - 1).bit_length())


def scanning(columns: int) -> Program:
    """The program for states whose rows are so long."""
    return Program("recurrent", (), (("SCAN", 1), ("ROOM", room(-(-columns // 32)))), LANES)


def learning(rows: int) -> Program:
    """The program for states that are matrices of so many rows."""
    return Program("recurrent", (), (("MATRIX", 1), ("ROOM", room(-(-rows // WARPS)))), LANES)


def ssm_scan(
    gpu: Any,
    out: Buffer,
    x: Buffer,
    dt: Buffer,
    a: Buffer,
    b: Buffer,
    c: Buffer,
    skip: Buffer,
    states: Buffer,
    read: Buffer,
    write: Buffer,
    sequences: Buffer,
) -> Iterator[Call]:
    n, heads, size = x.shape
    yield unseen(gpu, out, sequences)
    groups = read.size * -(-heads * size // WARPS) if n else 0
    sizes = [n, heads, size, a.shape[-1], b.shape[1], b.shape[2]]
    args = [out, x, dt, a, b, c, skip, states, read, write, sequences, *sizes]
    yield gpu.call("ssm_scan", scanning(b.shape[2]), groups, args)


def learn(
    gpu: Any,
    out: Buffer,
    q: Buffer,
    k: Buffer,
    v: Buffer,
    states: Buffer,
    read: Buffer,
    write: Buffer,
    sequences: Buffer,
    *,
    fade: Buffer | None = None,
    rate: Buffer | None = None,
    beta: Buffer | None = None,
    first: Buffer | None = None,
    a: Buffer | None = None,
    b: Buffer | None = None,
) -> Iterator[Call]:
    """Those whose states are matrices are one, of which each leaves something out."""
    n, heads, rows = q.shape
    columns = v.shape[-1]
    yield unseen(gpu, out, sequences)
    groups = read.size * heads * -(-columns // 32) if n else 0
    sizes = [n, heads, rows, columns, rate.shape[-1] if rate is not None else 1]
    how = [fade, rate, beta, first, a, b]
    args = [out, q, k, v, *how, states, read, write, sequences, *sizes]
    yield gpu.call("learn", learning(rows), groups, args)


def unseen(gpu: Any, out: Buffer, sequences: Buffer) -> Call:
    """The results of tokens that fill up a batch are zeros."""
    args = [out, sequences, sequences.size, out.size // max(1, sequences.size)]
    return gpu.call("unseen", "recurrent", -(-out.size // 64), args)


def linear_attention(
    gpu: Any, out: Buffer, q: Buffer, k: Buffer, v: Buffer, fade: Buffer, *states: Buffer
) -> Iterator[Call]:
    return learn(gpu, out, q, k, v, *states, fade=fade)


def wkv6(
    gpu: Any,
    out: Buffer,
    r: Buffer,
    k: Buffer,
    v: Buffer,
    fade: Buffer,
    first: Buffer,
    *states: Buffer,
) -> Iterator[Call]:
    return learn(gpu, out, r, k, v, *states, fade=fade, first=first)


def wkv7(
    gpu: Any,
    out: Buffer,
    r: Buffer,
    k: Buffer,
    v: Buffer,
    fade: Buffer,
    a: Buffer,
    b: Buffer,
    *states: Buffer,
) -> Iterator[Call]:
    return learn(gpu, out, r, k, v, *states, fade=fade, a=a, b=b)


def delta_rule(
    gpu: Any,
    out: Buffer,
    q: Buffer,
    k: Buffer,
    v: Buffer,
    rate: Buffer,
    beta: Buffer,
    *states: Buffer,
) -> Iterator[Call]:
    return learn(gpu, out, q, k, v, *states, rate=rate, beta=beta)


KERNELS = {
    "delta_rule": delta_rule,
    "linear_attention": linear_attention,
    "ssm_scan": ssm_scan,
    "wkv6": wkv6,
    "wkv7": wkv7,
    **kernels(
        {
            "causal_conv": lane_for_each("n*c", "recurrent"),
            "token_before": lane_for_each("n*k", "recurrent"),
        }
    ),
}
PROGRAMS = [Program("recurrent"), scanning(16), scanning(256), learning(64), learning(128)]
