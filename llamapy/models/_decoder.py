"""What every decoder shares: its weights, the loop over layers, the head."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from .. import ops
from ..backends import Backend
from ..backends.several import of_layer
from ..cache import KV, Cache, Ints, Step, causal
from ..errors import UnsupportedError
from ..nn import Block, Embedding, Linear, Names, RMSNorm, Rope, bind, block, w
from ..nn import rope as frequencies
from ..nn.weights import Declared, declared
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
    Memory: ClassVar[type[Cache]] = Cache
    prefix: ClassVar[str] = "blk."  # of its layers' tensors
    ignores: ClassVar[Sequence[str]] = ()  # tensors that are left alone on purpose
    # what an invented model's metadata must say for it to have layers of all kinds
    example: ClassVar[Mapping[str, Any]] = {}

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
        bound: dict[int, Any] = {}
        for number in sorted({*self.config.blocks}):
            path = f"{self.prefix}{number}."
            config = self.config.at(number)
            bound[number] = bind(self.layer_type(config, number), names, config, path)
        # a block that is computed several times has its weights once
        self.layers: list[Any] = [copy.copy(bound[number]) for number in self.config.blocks]
        for index, layer in enumerate(self.layers):
            layer.index = index
        c = self.config
        behind = [f"blk.{number}.*" for number in range(c.n_layer, c.n_block)]
        names.check_all_used(architecture, [*self.ignores, *behind])
        self.output: Any = self.make_output()
        self.setup()

    def setup(self) -> None:
        """Compute once what the forward pass needs: frequencies, slopes."""

    def make_output(self) -> Linear | None:
        """The projection to the vocabulary."""
        return self.ends.output or self.ends.token_embd.as_output()

    def weights(self) -> dict[str, Tensor]:
        """All tensors by their names in the file."""
        return {tensor.name: tensor for part in self.blocks() for _, tensor in part.weights()}

    def blocks(self) -> list[Block]:
        """All that has weights, from the embedding to the output."""
        parts = [self.ends, *self.layers, self.output]
        return [part for part in parts if part is not None]

    @property
    def n_vocab(self) -> int:
        return self.ends.token_embd.weight.shape[0]

    # ---- what an architecture says

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        """The kind of a block of the file, by the Config of its layer: where not all are alike."""
        return cls.Layer

    @classmethod
    def declares(cls, config: Any) -> Iterator[tuple[Declared, dict[str, int]]]:
        """All tensors of this architecture, each with the sizes of its letters."""
        yield from ((tensor, config.sizes) for tensor in declared(cls.Ends))
        for number in sorted({*config.blocks}):
            own = config.at(number)
            layer = cls.layer_type(own, number)
            for tensor in declared(layer, f"{cls.prefix}{number}."):
                yield tensor, own.sizes

    def states(self) -> list[Any]:
        """What all layers remember, and what the model remembers beside them."""
        return [self.state(index) for index in range(len(self.layers))]

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

    def state(self, index: int) -> Any:
        """What a layer remembers."""
        c = self.config.at(index)
        return KV(c.n_head_kv, c.head_dim, c.value_dim)

    def places(self, backend: Backend) -> list[Backend]:
        """Where each layer lies, and what it remembers."""
        return [of_layer(backend, number) for number in self.config.blocks]

    def at(self, x: Tensor, index: int) -> Tensor:
        """Values where a layer lies."""
        return ops.move(x, of_layer(self.backend, self.config.blocks[index]))

    def at_output(self, x: Tensor) -> Tensor:
        """Values where the output lies."""
        return x if self.output is None else ops.move(x, self.output.weight.backend)

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
        x = self.run_layers(x, step)  # [T, E]
        if not step.outputs.size:
            return None
        x = self.at_output(ops.lookup(step.outputs, x))  # [O, E]
        return see("result_output", self.head(x))  # [O, V]

    def run_layers(self, x: Tensor, step: Step) -> Tensor:
        """All layers, one after the other."""
        for index, (layer, cache) in enumerate(zip(self.layers, step.states, strict=False)):
            with scope(f"blk.{index}."):
                x = self.at(x, index)
                x = see("l_out", self.layer(x, layer, cache, step))  # [T, E]
        return x


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

    def make_rope(self, base: float, dim: int | None = None) -> Rope:
        """The rotation with this base, scaled as the file says; of `dim` values of each head."""
        c = self.config
        values = frequencies.plain(dim or c.rope_dim, base)
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
                magnitude *= self.yarn_magnitude(factor)
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

    def yarn_magnitude(self, factor: float) -> float:
        """How much YaRN enlarges queries and keys."""
        return frequencies.yarn_magnitude(factor, self.config.yarn_log_multiplier)

    def _factors(self) -> Tensor | None:
        """What the file divides frequencies by, for the context that the model is loaded with."""
        ends = self.ends
        if not isinstance(ends, RopeEnds):
            return None
        if ends.rope_freqs is not None:
            return ends.rope_freqs
        is_long = self.n_ctx > self.config.n_ctx_original
        return ends.rope_factors_long if is_long else ends.rope_factors_short

    def move(self, index: int, keys: Tensor, by: Tensor) -> Tensor:
        return self.rope.move(keys, by)
