"""What encoders share: no cache, sequences that are seen as a whole, embeddings as the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..cache import Cache, Ints, Step, full
from ..cache.encoded import EncodedCache
from ..cache.whole import Whole, WholeCache
from ..errors import UnsupportedError
from ..nn import Block, Embedding, LayerNorm, Linear, RMSNorm, block, w
from ..ops import Op, scope, see
from ..tensor import Tensor
from ._config import DecoderConfig, RopeConfig, expect
from ._decoder import Decoder


@dataclass(frozen=True)
class EncoderConfig(DecoderConfig):
    """No causal mask."""

    causal: bool = expect("attention.causal", False)


@dataclass(frozen=True)
class RopeEncoderConfig(RopeConfig):
    """An encoder that tells positions by rotation."""

    causal: bool = expect("attention.causal", False)


class WholeSequences:
    """Mixed into a model whose tokens see what stands after them, too: nothing is remembered."""

    Memory: ClassVar[type[Cache]] = WholeCache

    def state(self, index: int) -> Any:
        """What a layer sees of its sequence: all of it."""
        return Whole()

    def reach(self, positions: Ints) -> Ints:
        """The kind of mask: none."""
        return full(positions)


@block
class Classifier(Block):
    """Scores of pooled embeddings, in files of models that rank or sort texts."""

    cls: Linear | None = w("E, E")
    cls_norm: LayerNorm | None = w("E", name="cls.norm")
    cls_out: Linear | None = w("C, E", name="cls.output")

    activation: ClassVar[Op] = ops.tanh

    def __call__(self, x: Tensor) -> Tensor:
        if self.cls is not None:
            x = self.activation(self.cls(x))  # [R, E]
            if self.cls_norm is not None:
                x = self.cls_norm(x)
        return x if self.cls_out is None else self.cls_out(x)  # [R, C]


@block
class Ends(Block):
    """The embedding, and a last norm."""

    token_embd: Embedding = w("V, E")
    output_norm: RMSNorm = w("E")


class Encoder(WholeSequences, Decoder):
    """A model that gives an embedding of each token. An architecture says Config and Layer."""

    Config: ClassVar[type[DecoderConfig]] = EncoderConfig
    Ends: ClassVar[type[Block]] = Ends
    ignores: ClassVar[Sequence[str]] = ("output.weight",)

    rank_pooling: ClassVar[str] = "cls"  # before the classifier, where the file does not say it

    def make_output(self) -> None:
        """There are no logits."""

    @property
    def ranks(self) -> bool:
        """Whether the file has a classifier."""
        classifier = getattr(self.ends, "classifier", None)
        return classifier is not None and any(True for _ in classifier.weights())

    def rank(self, x: Tensor) -> Tensor:
        """The classifier's scores [R, classes] of pooled embeddings [R, E]."""
        return see("result_rank", self.ends.classifier(x))

    def head(self, x: Tensor) -> Tensor:
        """Embeddings of the last hidden states."""
        return see("result_norm", self.ends.output_norm(x))  # [O, E]


class EncoderDecoder(Decoder):
    """A decoder that attends to what an encoder has read. Both have one embedding."""

    Memory: ClassVar[type[Cache]] = EncodedCache
    encoder: Encoder

    def make_output(self) -> Linear:
        """The projection to the vocabulary."""
        return self.ends.output or self.encoder.ends.token_embd.as_output()

    def blocks(self) -> list[Block]:
        """All that has weights, from the embedding to the output."""
        return [*self.encoder.blocks(), *super().blocks()]

    @property
    def n_vocab(self) -> int:
        return self.encoder.n_vocab

    def embed(self, step: Step) -> Tensor:
        """The first hidden state of each token."""
        return self.encoder.embed(step)  # [T, E]

    def encode(self, step: Step, states: Sequence[Any], slots: Tensor) -> Tensor:
        """Read a source [T], and let every layer remember it in these cells of its state."""
        with scope("enc."):
            x = self.encoder(step)  # [T, E]
        assert x is not None
        for index, (layer, cache) in enumerate(zip(self.layers, states, strict=True)):
            with scope(f"blk.{index}."):
                self.remember(self.at(x, index), layer, cache, slots)
        return x

    def start(self, metadata: Mapping[str, Any]) -> int:
        """The token that what is generated begins with."""
        start = self.config.start
        if start is None:
            start = metadata.get("tokenizer.ggml.bos_token_id")
        if start is None:
            raise UnsupportedError(
                "this file does not say with which token its decoder starts: run forward with "
                "encoder_tokens, and tokens that begin with it"
            )
        return int(start)

    def remember(self, x: Tensor, w: Any, cache: Any, slots: Tensor) -> None:
        """Keep a layer's keys and values of what was encoded, [T, E]."""
        raise NotImplementedError
