"""TQ1_0: -1, 0 or 1 for each weight, five to a byte, one scale for 256 (made for BitNet models).

Five ternary digits make a number below 243. It is stretched to fill the byte, as a fraction of
256, so that multiplying by 3 pushes the first digit out at the top, without a division.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Blocks, Bytes, Floats, Quant
from .search import inverse_or_zero, round_away, to_int

POWERS = np.array([1, 3, 9, 27, 81], np.uint8)


def _pack(digits: NDArray[np.integer]) -> Bytes:
    """Ternary digits [..., planes, n] in n bytes, the first plane most significant."""
    planes = digits.shape[-2]
    number = (digits * POWERS[::-1][:planes, None].astype(np.int32)).sum(-2)
    return ((number * 256 + 242) // 243).astype(np.uint8)


def _unpack(packed: Bytes, planes: int) -> Bytes:
    fraction = (packed[..., None, :] * POWERS[:planes, None]).astype(np.uint16)
    digits = (fraction * np.uint16(3)) >> 8
    return digits.astype(np.uint8).reshape(*packed.shape[:-1], -1)


class TQ1_0(Quant, id=34):
    """256 weights: w = d * (q - 1), with q in [0, 2].

    160 weights in the first 32 bytes of qs, 80 in the other 16, and 16, four to a byte, in qh.
    """

    block, dot_with = 256, "Q8_K"
    layout = np.dtype([("qs", "u1", 48), ("qh", "u1", 4), ("d", "<f2")])

    @staticmethod
    def decode(blocks: Blocks) -> Floats:
        qs = blocks["qs"]
        parts = _unpack(qs[:, :32], 5), _unpack(qs[:, 32:], 5), _unpack(blocks["qh"], 4)
        q = np.concatenate(parts, axis=-1).astype(np.float32) - 1
        return q * blocks["d"].astype(np.float32)[:, None]

    @staticmethod
    def encode(rows: Floats, importance: Floats | None = None) -> Blocks:
        x = rows.reshape(len(rows), -1, TQ1_0.block)
        blocks = np.zeros(x.shape[:2], TQ1_0.layout)
        d = np.abs(x).max(-1)
        q = (to_int(round_away(x * inverse_or_zero(d)[..., None])) + 1) & 3
        blocks["d"] = d
        blocks["qs"][..., :32] = _pack(q[..., :160].reshape(*d.shape, 5, 32))
        blocks["qs"][..., 32:] = _pack(q[..., 160:240].reshape(*d.shape, 5, 16))
        blocks["qh"] = _pack(q[..., 240:].reshape(*d.shape, 4, 4))
        return blocks
