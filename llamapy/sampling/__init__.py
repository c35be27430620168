"""Sampling: stages in a list turn logits into a token."""

from .candidates import Candidates
from .choosing import Draw, Greedy
from .constraint import Grammar
from .cutting import XTC, MinP, TopK, TopNSigma, TopP, Typical
from .infill import Infill
from .repeating import DRY, Penalties
from .reweighing import DynamicTemperature, LogitBias, Temperature
from .rows import sample_rows
from .sampler import Sampler
from .stage import Stage
from .steering import AdaptiveP, Mirostat, Mirostat2

__all__ = [
    "DRY",
    "XTC",
    "AdaptiveP",
    "Candidates",
    "Draw",
    "DynamicTemperature",
    "Grammar",
    "Greedy",
    "Infill",
    "LogitBias",
    "MinP",
    "Mirostat",
    "Mirostat2",
    "Penalties",
    "Sampler",
    "Stage",
    "Temperature",
    "TopK",
    "TopNSigma",
    "TopP",
    "Typical",
    "sample_rows",
]
