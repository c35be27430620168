"""What decoders share whose layers differ in sight: most see a window, some see everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import KV, Step
from ..errors import UnsupportedError
from ..nn import Rope
from ..nn import rope as frequencies
from ..tensor import Tensor
from . import llama
from ._config import key, layer_key


@dataclass(frozen=True)
class Config(llama.Config):
    """How far a window reaches, and which layers have one."""

    window: int = key("attention.sliding_window")
    # either for each layer, or a number: of so many layers, the last one sees everything
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 4)
    window_rope_base: float = key("rope.freq_base_swa", lambda c: c.rope_base)
    window_rope_dim: int = key("rope.dimension_count_swa", lambda c: c.rope_dim)
    window_head_dim: int = key("attention.key_length_swa", lambda c: c.head_dim)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_head_dim != self.head_dim:
            raise UnsupportedError(
                f"attention.key_length_swa is {self.window_head_dim} and attention.key_length "
                f"{self.head_dim}: this architecture has heads of one size"
            )

    def is_windowed(self, layer: int) -> bool:
        """Whether this layer sees a window."""
        pattern = self.window_pattern
        if isinstance(pattern, tuple):
            return self.window > 0 and bool(pattern[layer])
        return self.window > 0 and (pattern == 0 or layer % pattern < pattern - 1)


class WindowedLlama(llama.Llama):
    """Llama with a window in some layers, whose rope may be another one."""

    Config = Config

    def setup(self) -> None:
        super().setup()
        self.window_rope = self.make_window_rope()

    def make_window_rope(self) -> Rope:
        """Not scaled to long contexts, for no window is long."""
        c = self.config
        values = frequencies.plain(c.window_rope_dim, c.window_rope_base)
        return Rope(self.rotation, values, self.backend, magnitude=c.rope_attn_factor)

    def rope_of(self, index: int) -> Rope | None:
        """How a layer turns its queries and keys; None if it does not."""
        return self.window_rope if self.config.is_windowed(index) else self.rope

    def state(self, index: int) -> KV:
        c = self.config.at(index)
        window = c.window if self.config.is_windowed(index) else None
        return KV(c.n_head_kv, c.head_dim, c.value_dim, window=window)

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        rope = self.rope_of(w.index)
        return (rope(q, step.positions), rope(k, step.positions)) if rope else (q, k)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        rope = self.rope_of(index)
        return rope.move(keys, by) if rope else keys
