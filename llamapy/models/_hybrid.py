"""What decoders share of which only some layers attend: the others have a recurrent state."""

from __future__ import annotations

from typing import Any, ClassVar

from ..cache import Step
from ..nn import Block
from ..tensor import Tensor
from . import llama


class HybridLlama(llama.Llama):
    """Layers without heads for keys are recurrent: `w.recurrence` stands where others attend."""

    RecurrentLayer: ClassVar[type[Block]]

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return cls.Layer if config.n_head_kv else cls.RecurrentLayer

    def state(self, index: int) -> Any:
        c = self.config.at(index)
        return super().state(index) if c.n_head_kv else c.memory

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        if w.config.n_head_kv:
            return super().attention(x, w, cache, step)
        y: Tensor = w.recurrence(x, cache, step)  # [T, E]
        return y


def head_size(config: Any) -> int:
    """The default of a head's size: layers that do not attend may say that they have no heads."""
    counts = config.n_head if isinstance(config.n_head, tuple) else (config.n_head,)
    return config.n_embd // next((count for count in counts if count), 1)
