"""What RWKV's architectures share: the sizes of their recurrences, and what layers remember."""

from __future__ import annotations

from dataclasses import dataclass

from ..cache import Recurrent
from ..nn import Block, Embedding, LayerNorm, Linear, block, w
from ._config import DecoderConfig, constant, expect, key, layer_key

# sizes for an invented model
EXAMPLE = {
    "wkv.head_size": 8,
    "time_mix_extra_dim": 6,
    "time_decay_extra_dim": 5,
    "attention.decay_lora_rank": 5,
    "attention.iclr_lora_rank": 6,
    "attention.value_residual_mix_lora_rank": 7,
}


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Heads are as large as a state; those of keys and values may be fewer."""

    n_head: int = constant(0)
    n_head_kv: int = layer_key("attention.head_count_kv", 0)
    head_dim: int = constant(0)
    value_dim: int = constant(0)
    norm_eps: float = key("attention.layer_norm_epsilon")
    n_wkv: int = key("wkv.head_size")
    n_shifts: int = expect("token_shift_count", 2)

    @property
    def n_wkv_head(self) -> int:
        return self.n_embd // self.n_wkv

    @property
    def memory(self) -> Recurrent:
        """The last token as both blocks of a layer saw it, and a matrix for each head."""
        heads = (self.n_wkv_head, self.n_wkv, self.n_wkv)
        return Recurrent(token=(self.n_embd,), channel_token=(self.n_embd,), wkv=heads)

    @property
    def sizes(self) -> dict[str, int]:
        heads = {"H": self.n_wkv_head, "D": self.n_wkv, "K": self.n_head_kv or self.n_wkv_head}
        return {**super().sizes, **heads}


@dataclass(frozen=True)
class Config6(Config):
    """The ranks of what a token says of itself."""

    n_mix: int = key("time_mix_extra_dim")
    n_decay: int = key("time_decay_extra_dim")

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "X": self.n_mix, "Y": self.n_decay}


@dataclass(frozen=True)
class Config7(Config):
    """The ranks of what a token says of itself."""

    n_decay: int = key("attention.decay_lora_rank")
    n_replaced: int = key("attention.iclr_lora_rank")
    n_first: int = key("attention.value_residual_mix_lora_rank")
    n_gate: int = key("attention.gate_lora_rank", 0)

    @property
    def sizes(self) -> dict[str, int]:
        ranks = {"X": self.n_gate, "Y": self.n_decay, "Z": self.n_replaced, "U": self.n_first}
        return {**super().sizes, **ranks, "B": int(self.n_gate > 0)}


@dataclass(frozen=True)
class QwenConfig(Config):
    """In the place of Qwen's attention: feed-forward blocks do not see the token before."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon")
    n_shifts: int = expect("token_shift_count", 1)

    @property
    def memory(self) -> Recurrent:
        heads = (self.n_wkv_head, self.n_wkv, self.n_wkv)
        return Recurrent(token=(self.n_embd,), wkv=heads)


@block
class Ends(Block):
    """Embeddings are normed before the first layer."""

    token_embd: Embedding = w("V, E")
    token_embd_norm: LayerNorm = w("E")
    output_norm: LayerNorm = w("E")
    output: Linear | None = w("V, E")
