"""The codebooks as kernels want them: plain arrays, made once when first asked for."""

from __future__ import annotations

import functools

import numpy as np

from ..search_grid import sign_bits
from ._lanes import WIDTH


@functools.cache
def tables(book):
    """A codebook for kernels: `starts`, `near` and the number of the point in each cell.

    `near[starts[c] : starts[c + 1]]` are the points near cell c, their levels packed in a word of
    16 bits. Each run is filled up to a multiple of sixteen by repeating its first point.
    """
    starts, near = book.neighbours
    counts = np.diff(starts)
    padded = np.append(0, np.cumsum(-(-counts // WIDTH) * WIDTH))
    place = np.arange(len(near)) + np.repeat(padded[:-1] - starts[:-1], counts)
    bits = 2 if book.levels == 3 else 3
    words = (book.points.astype(np.int64) << (bits * np.arange(book.width))).sum(1)
    first = np.repeat(starts[:-1], np.diff(padded))
    filled = words[near[first]].astype(np.uint16)
    filled[place] = words[near]
    return padded.astype(np.int32), filled, book.point_of


@functools.cache
def sizes(book, values):
    """What each point stands for, float32 [n_points, width]."""
    return np.array(values, np.float32)[book.points]


@functools.cache
def all_factors():
    """The factors 1 and -1 that each sign byte stands for."""
    return sign_bits(np.arange(256), even=False)


@functools.cache
def even_factors():
    """The factors 1 and -1 that 7 sign bits stand for."""
    return sign_bits(np.arange(128), even=True)
