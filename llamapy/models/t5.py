"""T5 and Flan-T5: an encoder, and a decoder whose layers attend to what it has read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from .. import ops
from ..cache import PAGE, Step
from ..cache.encoded import EncodedKV
from ..nn import Block, Linear, Names, RMSNorm, block, w
from ..nn.weights import Declared
from ..ops import scope, see
from ..tensor import Tensor
from . import t5encoder
from ._config import DecoderConfig, key
from ._encoder import EncoderDecoder


@dataclass(frozen=True)
class Config(DecoderConfig):
    """The decoder may have another number of layers."""

    n_bucket: int = key("attention.relative_buckets_count")
    n_layer_decoder: int = key("decoder_block_count", lambda c: c.n_block)
    start: int | None = key("decoder_start_token_id", None)

    @property
    def n_layer(self) -> int:
        """The decoder's."""
        return self.n_layer_decoder

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "B": self.n_bucket}


@block
class Ends(Block):
    """The embedding is the encoder's."""

    output_norm: RMSNorm = w("E", name="dec.output_norm")
    output: Linear | None = w("V, E")


@block
class Layer(t5encoder.Layer):
    """Between the two halves of a layer stands attention to what was encoded."""

    cross_attn_norm: RMSNorm = w("E")
    cross_attn_q: Linear = w("H*D, E")
    cross_attn_k: Linear = w("K*D, E")
    cross_attn_v: Linear = w("K*D, E")
    cross_attn_o: Linear = w("E, H*D")


@block
class FirstLayer(Layer):
    """Its scores of distances are for the layers behind it, too."""

    attn_rel_b: Tensor = w("B, H")


class T5(EncoderDecoder):
    """Scores are not scaled by the size of heads."""

    Config, Layer, Ends, prefix = Config, Layer, Ends, "dec.blk."
    ignores = ("dec.blk.*.cross_attn_rel_b.weight",)  # in files, but without a use

    def __init__(
        self,
        architecture: str,
        metadata: Mapping[str, Any],
        names: Names,
        *,
        n_ctx: int | None = None,
    ) -> None:
        self.encoder = t5encoder.T5EncoderHalf(architecture, metadata, names, n_ctx=n_ctx)
        super().__init__(architecture, metadata, names, n_ctx=n_ctx)

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return Layer if number else FirstLayer

    @classmethod
    def declares(cls, config: Any) -> Iterator[tuple[Declared, dict[str, int]]]:
        names = [f.name for f in fields(t5encoder.Config)]
        encoder = t5encoder.Config(**{name: getattr(config, name) for name in names})
        yield from t5encoder.T5EncoderHalf.declares(encoder)
        yield from super().declares(config)

    def setup(self) -> None:
        super().setup()
        t5encoder.decode_biases(self.layers)

    def state(self, index: int) -> EncodedKV:
        c = self.config.at(index)
        return EncodedKV(c.n_head_kv, c.head_dim)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        """Keys do not know where they stand."""
        return keys

    def remember(self, x: Tensor, w: Any, cache: Any, slots: Tensor) -> None:
        c, t = self.config, x.shape[0]
        k = w.cross_attn_k(x).view(t, c.n_head_kv, c.head_dim)  # [T, K, D]
        v = w.cross_attn_v(x).view(t, c.n_head_kv, c.head_dim)  # [T, K, D]
        cache.remember(k, v, slots)

    def __call__(self, step: Step) -> Tensor | None:
        step.begin()
        table = step.tables[None]
        places = step.positions, step.sequences, table.cell_positions, table.pages, table.lengths

        def behind(weights: Tensor) -> Tensor:
            return ops.bias_behind(weights, *places, page=PAGE)  # [T, H, C]

        x = see("inp_embd", self.embed(step))  # [T, E]
        layers = zip(self.layers, step.states, t5encoder.biases(self.layers, behind), strict=True)
        for index, (layer, cache, bias) in enumerate(layers):
            with scope(f"blk.{index}."):
                x, bias = self.at(x, index), self.at(bias, index)
                y = t5encoder.attend_self(layer.attn_norm(x), layer, cache, bias, step)
                x = see("cross_inp", x + y)  # [T, E]
                x = see("ffn_inp", x + self.attend_encoded(x, layer, cache, step))  # [T, E]
                x = see("l_out", x + layer.ffn(layer.ffn_norm(x)))  # [T, E]
        if not step.outputs.size:
            return None
        x = self.at_output(ops.lookup(step.outputs, x))  # [O, E]
        return see("result_output", self.head(x))  # [O, V]

    def attend_encoded(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c, t = self.config, x.shape[0]
        x = see("attn_norm_cross", w.cross_attn_norm(x))  # [T, E]
        q = see("Qcur", w.cross_attn_q(x).view(t, c.n_head, c.head_dim))  # [T, H, D]
        y = cache.attend_encoded(q, step, scale=1.0)  # [T, H, D]
        return see("cross_out", w.cross_attn_o(y.view(t, c.n_head * c.head_dim)))  # [T, E]
