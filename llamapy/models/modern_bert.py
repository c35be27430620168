"""ModernBERT: LayerNorm before each half, GeGLU, and windows to both sides in most layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Step
from ..cache.whole import Whole
from ..errors import UnsupportedError
from ..nn import Block, Embedding, FusedQKV, LayerNorm, Linear, block, group, w
from ..ops import Op, see
from ..tensor import Tensor
from . import _windows
from ._config import expect, key, layer_key
from ._encoder import Classifier, Encoder

# as files name them: the activation of the first half, and the name for looking
GATES: dict[str, tuple[Op, str]] = {
    "gelu": (ops.gelu_gate, "ffn_geglu"),
    "geglu": (ops.gelu_gate, "ffn_geglu"),
    "silu": (ops.silu_gate, "ffn_swiglu"),
    "swish": (ops.silu_gate, "ffn_swiglu"),
    "swiglu": (ops.silu_gate, "ffn_swiglu"),
    "reglu": (ops.relu_gate, "ffn_reglu"),
}


@dataclass(frozen=True)
class Config(_windows.Config):
    """Of three layers, the first sees everything. Without a window, all layers do."""

    causal: bool = expect("attention.causal", False)
    norm_eps: float = key("attention.layer_norm_epsilon")
    window: int = key("attention.sliding_window", 0)
    window_pattern: int | bool = layer_key("attention.sliding_window_pattern", 3)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0)
    activation: str = key("hidden_activation", "gelu")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in GATES:
            raise UnsupportedError(
                f"hidden_activation is {self.activation!r}, and {', '.join(GATES)} are known: it "
                f"would be another model, so it is not loaded"
            )

    def is_windowed(self, layer: int) -> bool:
        if isinstance(self.window_pattern, tuple):
            return super().is_windowed(layer)
        pattern = self.window_pattern
        return self.window > 0 and (pattern == 0 or layer % pattern != 0)


@block
class ModernClassifier(Classifier):
    """Another activation."""

    activation: ClassVar[Op] = ops.gelu


@block
class Ends(Block):
    """A norm before the layers, and one behind them."""

    token_embd: Embedding = w("V, E")
    token_embd_norm: LayerNorm = w("E")
    output_norm: LayerNorm = w("E")
    classifier: ModernClassifier = group()


@block
class GatedMLP(Block):
    """One matrix, whose first half is activated and gates the second."""

    ffn_up: Linear = w("2*F, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        y, n = self.ffn_up(x), self.config.n_ff  # [T, 2*F]
        gate, name = GATES[self.config.activation]
        y = gate(ops.columns(y, start=0, count=n), ops.columns(y, start=n, count=n))
        return see("ffn_out", self.ffn_down(see(name, y)))  # [T, E]


@block
class Layer(Block):
    """A norm before each of its two halves."""

    attn_norm: LayerNorm = w("E")
    attn: FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    ffn_norm: LayerNorm = w("E")
    ffn: GatedMLP = group()


@block
class FirstLayer(Layer):
    """Without a norm before attention: the embeddings have one."""

    attn_norm: LayerNorm | None = w("E")


class ModernBert(Encoder, _windows.WindowedLlama):
    """Rope over halves, with a base of its own in windows."""

    rank_pooling: ClassVar[str] = "mean"

    Config, Layer, Ends, rotation = Config, Layer, Ends, ops.rope_halves

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return Layer if number else FirstLayer

    def state(self, index: int) -> Any:
        """Half of a window lies to each side."""
        c = self.config
        return Whole(c.window // 2 if c.is_windowed(index) else None)

    def embed(self, step: Step) -> Tensor:
        return self.ends.token_embd_norm(super().embed(step))  # [T, E]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = x if w.attn_norm is None else w.attn_norm(x)
        x = see("ffn_inp", x + self.attention(y, w, cache, step))  # [T, E]
        return x + w.ffn(w.ffn_norm(x))  # [T, E]
