"""What every decoder shares: its weights, the loop over layers, the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .. import ops
from ..cache import KV, Ints, Step, causal
from ..errors import UnsupportedError
from ..nn import Block, Embedding, Linear, Names, RMSNorm, Rope, bind, block, w
from ..nn import rope as frequencies
from ..ops import Op, scope, see
from ..tensor import Tensor
from ._config import DecoderConfig, RopeConfig


@block
class Ends(Block):
    """The weights outside of layers. Without an output, the embedding is used again."""

    token_embd: Embedding = w("V, E")
    output_norm: RMSNorm = w("E")
    output: Linear | None = w("V, E")


class Decoder:
    """A model that predicts the next token. An architecture says Config, Layer and `layer`."""

    Config: ClassVar[type[DecoderConfig]] = DecoderConfig
    Layer: ClassVar[type[Block]]
    Ends: ClassVar[type[Block]] = Ends
    ignores: ClassVar[Sequence[str]] = ()  # tensors that are left alone on purpose

    def __init__(
        self,
        architecture: str,
        metadata: Mapping[str, Any],
        names: Names,
        *,
        n_ctx: int | None = None,
    ) -> None:
        self.config: Any = self.Config.read(architecture, metadata)
        self.backend = names.backend
        self.n_ctx = n_ctx or self.config.n_ctx
        self.ends: Any = bind(self.Ends, names, self.config)
        self.layers: list[Any] = []
        for index in range(self.config.n_layer):
            layer = bind(self.Layer, names, self.config.at(index), f"blk.{index}.")
            layer.index = index
            self.layers.append(layer)
        names.check_all_used(architecture, self.ignores)
        self.output = self.ends.output or self.ends.token_embd.as_output()
        self.setup()

    def setup(self) -> None:
        """Compute once what the forward pass needs: frequencies, slopes."""

    def weights(self) -> dict[str, Tensor]:
        """All tensors by their names in the file."""
        blocks: list[Block] = [self.ends, *self.layers]
        return {tensor.name: tensor for part in blocks for _, tensor in part.weights()}

    @property
    def n_vocab(self) -> int:
        return self.ends.token_embd.weight.shape[0]

    # ---- what an architecture says

    def embed(self, step: Step) -> Tensor:
        """The first hidden state of each token."""
        return see("embd", self.ends.token_embd(step.tokens))  # [T, E]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        """One layer: hidden states in and out, [T, E]."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Tensor:
        """Logits of the last hidden states."""
        x = see("result_norm", self.ends.output_norm(x))  # [O, E]
        return self.output(x)  # [O, V]

    def reach(self, positions: Ints) -> Ints:
        """How far each position sees: the kind of mask."""
        return causal(positions)

    def state(self, index: int) -> KV:
        """What a layer remembers."""
        c = self.config.at(index)
        return KV(c.n_head_kv, c.head_dim, c.value_dim)

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        """The keys of a layer as if their tokens stood this many positions further on."""
        raise UnsupportedError(
            f"{type(self).__name__} cannot move what it remembers: compute the tokens again"
        )

    # ---- the forward pass

    def __call__(self, step: Step) -> Tensor | None:
        """The logits of the step's outputs; None if it has none."""
        step.begin()
        x = see("inp_embd", self.embed(step))  # [T, E]
        for index, (layer, cache) in enumerate(zip(self.layers, step.states, strict=True)):
            with scope(f"blk.{index}."):
                x = see("l_out", self.layer(x, layer, cache, step))  # [T, E]
        if not step.outputs.size:
            return None
        x = ops.lookup(step.outputs, x)  # [O, E]
        return see("result_output", self.head(x))  # [O, V]


# ---- decoders that tell positions by rotation


@block
class RopeEnds(Ends):
    """Factors by which the frequencies are divided; two sets for short and for long contexts."""

    rope_freqs: Tensor | None = w("R//2")
    rope_factors_long: Tensor | None = w("R//2")
    rope_factors_short: Tensor | None = w("R//2")


class RopeDecoder(Decoder):
    """A decoder whose queries and keys are turned; `rotation` says which values are pairs."""

    Config: ClassVar[type[DecoderConfig]] = RopeConfig
    Ends: ClassVar[type[Block]] = RopeEnds
    rotation: ClassVar[Op] = ops.rope_pairs

    def setup(self) -> None:
        self.rope = self.make_rope(self.config.rope_base)

    def make_rope(self, base: float) -> Rope:
        """The rotation with this base, scaled as the file says."""
        c = self.config
        values = frequencies.plain(c.rope_dim, base)
        if (factors := self._factors()) is not None:
            values = frequencies.divided(values, factors.numpy())
        magnitude = c.rope_attn_factor
        factor = c.rope_factor or 1.0  # 0 says that there is none
        match c.rope_scaling:
            case "none":
                pass
            case "linear" | "longrope":
                values = frequencies.linear(values, factor)
            case "yarn":
                magnitude *= frequencies.yarn_magnitude(factor, c.yarn_log_multiplier)
                values = frequencies.yarn(
                    values,
                    base,
                    factor,
                    c.n_ctx_original,
                    beta_fast=c.yarn_beta_fast,
                    beta_slow=c.yarn_beta_slow,
                    extrapolation=c.yarn_extrapolation,
                )
            case other:
                raise UnsupportedError(
                    f"rope.scaling.type is {other!r}, and none, linear, yarn and longrope are "
                    f"known: the positions would be wrong, so the model is not loaded"
                )
        return Rope(self.rotation, values, self.backend, magnitude=magnitude)

    def _factors(self) -> Tensor | None:
        """What the file divides frequencies by, for the context that the model is loaded with."""
        ends = self.ends
        if ends.rope_freqs is not None:
            return ends.rope_freqs
        is_long = self.n_ctx > self.config.n_ctx_original
        return ends.rope_factors_long if is_long else ends.rope_factors_short

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return self.rope.move(keys, by)
