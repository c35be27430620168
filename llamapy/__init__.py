"""llamapy: llama.cpp as a library in pure Python, on NumPy and Numba.

The public names load on first use, so that `import llamapy` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import on_first_use
from ._version import __version__
from .errors import (
    Cancelled,
    DeviceUnavailable,
    EngineBusy,
    FormatError,
    GrammarError,
    ImatrixError,
    LlamapyError,
    MemoryPlanError,
    OutputError,
    QuantizationError,
    ShapeError,
    TemplateError,
    TokenizerError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from . import chat, gguf, grammar, quants, sampling, testing, tokenizers
    from .engine.generating.quick import quick_chat, quick_complete
    from .engine.load import default_path, load
    from .engine.quantizing.quantize import quantize
    from .gguf import GGUF
    from .sampling import Sampler

__all__ = [
    "GGUF",
    "Cancelled",
    "DeviceUnavailable",
    "EngineBusy",
    "FormatError",
    "GrammarError",
    "ImatrixError",
    "LlamapyError",
    "MemoryPlanError",
    "OutputError",
    "QuantizationError",
    "Sampler",
    "ShapeError",
    "TemplateError",
    "TokenizerError",
    "UnsupportedError",
    "__version__",
    "chat",
    "default_path",
    "gguf",
    "grammar",
    "load",
    "quantize",
    "quants",
    "quick_chat",
    "quick_complete",
    "sampling",
    "testing",
    "tokenizers",
]

# name -> the module that it is in
_HOMES = {
    "GGUF": "gguf",
    "Sampler": "sampling",
    "chat": "",
    "grammar": "",
    "tokenizers": "",
    "gguf": "",
    "quants": "",
    "sampling": "",
    "testing": "",
    "default_path": "engine.load",
    "load": "engine.load",
    "quantize": "engine.quantizing.quantize",
    "quick_chat": "engine.generating.quick",
    "quick_complete": "engine.generating.quick",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
