"""Block formats: every ggml type, as bytes, as NumPy definitions and as compiled kernels.

>>> import numpy as np
>>> rows = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
>>> raw = get("Q8_0").quantize(rows)
>>> raw.shape, raw.dtype
((2, 34), dtype('uint8'))
>>> float(np.abs(get("Q8_0").dequantize(raw, rows.shape) - rows).max()) < 0.005
True

The folder is the list: a file in it that subclasses `Quant` adds a format, and so does a subclass
anywhere else, once its module is imported.
"""

from __future__ import annotations

from .base import Quant
from .registry import formats, get
from .report import Report, report

__all__ = ["Quant", "Report", "formats", "get", "report"]
