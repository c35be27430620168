"""Drop-ins for other libraries' interfaces.

`from llamapy.compat import Llama` takes the place of `from llama_cpp import Llama`.
"""

from .grammar import LlamaGrammar
from .llama import Llama
from .parts import (
    LlamaCache,
    LlamaPromptLookupDecoding,
    LlamaRAMCache,
    LlamaState,
    LogitsProcessorList,
    MinTokensLogitsProcessor,
    StoppingCriteriaList,
)

__all__ = [
    "Llama",
    "LlamaCache",
    "LlamaGrammar",
    "LlamaPromptLookupDecoding",
    "LlamaRAMCache",
    "LlamaState",
    "LogitsProcessorList",
    "MinTokensLogitsProcessor",
    "StoppingCriteriaList",
]
