"""What tests are made of, public so that those of other projects can use it.

The names load on first use: not every one needs Hypothesis or a compiled kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import on_first_use

if TYPE_CHECKING:
    from . import hostile, mutants, strategies
    from .backend import check_backend
    from .divergence import compare
    from .model import check_model
    from .quant import check_quant
    from .sampler import check_sampler, sampler_from_chain
    from .tiny import tiny_model
    from .trace import compare_trace

__all__ = [
    "check_backend",
    "check_model",
    "check_quant",
    "check_sampler",
    "compare",
    "compare_trace",
    "hostile",
    "mutants",
    "sampler_from_chain",
    "strategies",
    "tiny_model",
]

# name -> the module that it is in
_HOMES = {
    "check_backend": "backend",
    "check_model": "model",
    "check_quant": "quant",
    "check_sampler": "sampler",
    "compare": "divergence",
    "compare_trace": "trace",
    "hostile": "",
    "mutants": "",
    "sampler_from_chain": "sampler",
    "strategies": "",
    "tiny_model": "tiny",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
