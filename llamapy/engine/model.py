"""A loaded model: computing with it, looking inside, and generating."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from ..backends import Backend
from ..cache import PADDED, Batch, Cache, Step, padded
from ..cache.encoded import EncodedCache
from ..errors import LlamapyError, MemoryPlanError, ShapeError, UnsupportedError
from ..models import Decoder, Encoder, EncoderDecoder
from ..ops import Hook, looking
from ..ops.see import Looking
from ..plan import Plan, record
from ..tensor import Tensor
from .adapting.lora import Adapter, Lora, add_lora
from .adapting.steering import ControlVector, Steer, Steering
from .embed import embed
from .generating.speaker import Generating, Idle
from .lens import Routing, logit_lens, routing
from .likeliest import is_far, likeliest
from .measuring.measured import Measuring
from .memory import check_cache
from .output import Output
from .overview import html_of

Floats = NDArray[np.float32]


class Model(Generating, Measuring):
    """A model on a device. Use it in a `with` block, or call `close`.

    `hooks` maps patterns of names to functions of a name and values, which may return others to
    take their place: `model.hooks["blk.3.ffn_out"] = lambda name, x: x * 0`.
    """

    def __init__(
        self,
        decoder: Decoder,
        metadata: Mapping[str, Any],
        *,
        n_ctx: int,
        kv_type: str = "f16",
        source: Any = None,
        again: Callable[[Backend], Model] | None = None,
        identity: Callable[[], str] | None = None,
    ) -> None:
        self._decoder: Decoder | None = decoder
        self.metadata, self.n_ctx, self.kv_type = metadata, n_ctx, kv_type
        self.hooks: dict[str, Hook] = {}
        self.adapters: list[Adapter] = []
        self.steering = Steering(self)
        self._source, self._again = source, again
        self._identity = None if identity is None else functools.cache(identity)
        self._idle = Idle()

    @property
    def decoder(self) -> Decoder:
        """The architecture with its weights."""
        if self._decoder is None:
            raise LlamapyError("this model is closed: load it again")
        return self._decoder

    @property
    def config(self) -> Any:
        """Sizes and settings, as the architecture has read them from the file."""
        return self.decoder.config

    @property
    def backend(self) -> Backend:
        """The device that it lies on."""
        return self.decoder.backend

    def hash(self) -> str:
        """What tells this model from others: of its keys, its tensors' shapes and some rows."""
        if self._identity is None:
            raise UnsupportedError("this model was not made by load or build: it has no hash")
        return self._identity()

    def on(self, device: str | Backend) -> Model:
        """The same model, loaded again on another device."""
        if self._again is None:
            raise UnsupportedError("this model was not made by load or build: load it there")
        return self._again(backends.get(device))

    def close(self) -> None:
        """Give the memory back, and the file."""
        self._decoder = None
        self._idle.clear()
        if self._source is not None:
            self._source.close()
            self._source = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._decoder is None:
            return "<Model, closed>"
        c = self.config
        return (
            f"<Model {type(self.decoder).__name__}: {c.n_layer} layers of {c.n_embd}, "
            f"{self.decoder.n_vocab} tokens, on {self.backend.name}>"
        )

    def _repr_html_(self) -> str:
        return html_of(self)

    # ---- computing

    def cache(
        self,
        n_ctx: int | None = None,
        *,
        n_sequences: int = 1,
        n_batch: int = 512,
        kv_type: str | None = None,
        rollback: int = 0,
        pad: Callable[[int], int] = padded,
    ) -> Cache:
        """Memory for sequences of up to `n_ctx` tokens, in steps of up to `n_batch`.

        A sequence of recurrent layers can go back by `rollback` tokens, as when drafted tokens are
        not accepted; each takes the memory of one more state. `pad` says which sizes batches are
        brought to, so that few plans serve all. More than this machine has is refused before
        anything is allocated.
        """
        n_ctx, kv_type = n_ctx or self.n_ctx, kv_type or self.kv_type
        sizes: dict[str, Any] = {
            "n_sequences": n_sequences,
            "n_batch": n_batch,
            "kv_type": kv_type,
            "rollback": rollback,
        }
        try:
            check_cache(self, n_ctx, **sizes)
        except MemoryPlanError:
            if not self._idle.clear():
                raise
            check_cache(self, n_ctx, **sizes)
        return self.make_cache(self.backend, n_ctx, pad=pad, **sizes)

    def make_cache(self, backend: Backend, n_ctx: int, **options: Any) -> Cache:
        """A cache in the memory of a backend, without asking whether there is enough of it."""
        decoder = self.decoder
        return decoder.Memory(
            decoder.states(),
            backend,
            n_ctx=n_ctx,
            places=decoder.places(backend),
            reach=decoder.reach,
            move=decoder.move,
            **options,
            model_hash=self._identity,
        )

    def forward(
        self,
        tokens: Sequence[int],
        *,
        encoder_tokens: Sequence[int] | None = None,
        logits: str = "last",
        hidden: Sequence[int] = (),
        capture: Sequence[str] = (),
    ) -> Output:
        """Compute one sequence and forget it.

        `hidden[i]` is what layer i gets, so 0 is the embeddings and the number of layers what the
        last one gives; negative numbers count from there. `capture` takes names, or patterns.
        `encoder_tokens` are what the decoder of a model such as T5 attends to.
        """
        self.check_tokens(tokens)
        n = max(len(tokens), len(encoder_tokens or ()))
        cache = self.cache(n, n_batch=n, pad=int)
        points = {i: self._hidden_point(i) for i in hidden}
        names = (*capture, *points.values())
        is_encoder = isinstance(self.decoder, Encoder)
        batch = Batch.of(tokens, logits="all" if is_encoder else logits)
        with self.looking(names) as look:
            if encoder_tokens is not None:
                self._encode(cache, encoder_tokens)
            result = self.decoder(cache.begin(batch))
        look.check_all_met()
        given = _host(result, len(batch.outputs), self._n_given)
        return Output(
            np.zeros((0, self.decoder.n_vocab), np.float32) if is_encoder else given,
            given if is_encoder else np.zeros((0, self.config.n_embd), np.float32),
            {i: look.seen[point] for i, point in points.items()},
            look.seen,
        )

    def run(self, cache: Cache, batch: Batch, *, few: bool = False) -> Floats:
        """The logits, or embeddings, of a batch's outputs; the cache remembers the batch.

        Small batches are recorded the first time, and replayed from then on. If this fails or is
        interrupted, the cache is as it was. With `few`, a device whose memory is far gives
        [n, 2, k] instead: the likeliest tokens, best first, and their logits.
        """
        self.check_tokens(batch.tokens)
        ends = {sequence: cache.end(sequence) for sequence in set(batch.sequences)}
        step = cache.begin(batch)
        try:
            logits = self._compute(cache, step, few and self._is_far)
            return _host(logits, len(batch.outputs), self._n_given).copy()
        except BaseException:
            for sequence, end in ends.items():
                cache.remove(sequence, end, cache.end(sequence))
            raise

    def encode(self, cache: Cache, tokens: Sequence[int], sequence: int = 0) -> Floats:
        """Read a source with the encoder of a model such as T5; its decoder begins anew.

        The cache remembers for all layers what a sequence's decoder attends to. Returns the
        encoder's embeddings [n, E].
        """
        with self.looking():
            return self._encode(cache, tokens, sequence).numpy().copy()

    def _encode(self, cache: Cache, tokens: Sequence[int], sequence: int = 0) -> Tensor:
        decoder = self.decoder
        if not isinstance(decoder, EncoderDecoder) or not isinstance(cache, EncodedCache):
            raise UnsupportedError(
                f"{type(decoder).__name__} has no encoder beside its decoder: pass tokens alone"
            )
        self.check_tokens(tokens)
        n, encoder = len(tokens), decoder.encoder
        whole = encoder.Memory(
            encoder.states(), self.backend, n_ctx=n, n_batch=n, reach=encoder.reach, pad=int
        )
        step, slots = whole.begin(Batch.of(tokens, logits="all")), cache.open(n, sequence)
        try:
            return decoder.encode(step, cache.states, slots)
        except BaseException:
            cache.remove(sequence)
            raise

    def embed(
        self, texts: Any, pooling: str | None = None, *, normalize: bool | float = False
    ) -> Floats | list[Floats]:
        """One embedding for each text, [n, E]; texts, or lists of token ids.

        `pooling` is mean, cls (the first token's), last, rank (scores of a classifier) or none (all
        tokens' of each text); by default, what the file says. A decoder's embeddings are what its
        last norm gives. `normalize` gives them length 1: True by the Euclidean norm, p by the
        p-norm.
        """
        return embed(self, texts, pooling, normalize=normalize)

    def plan(self, cache: Cache, batch: Batch) -> Plan:
        """The recorded plan of a batch, to print, profile or watch. The batch is computed, too."""
        self.check_tokens(batch.tokens)
        return self._plan(cache, cache.begin(batch))

    @functools.cached_property
    def _is_far(self) -> bool:
        return is_far(self.decoder)

    def _given(self, step: Step, few: bool) -> Tensor | None:
        """What leaves the device."""
        return likeliest(self.decoder(step)) if few else self.decoder(step)

    def _compute(self, cache: Cache, step: Step, few: bool = False) -> Tensor | None:
        if PADDED < step.n_tokens < cache.n_batch:
            # of large batches only whole ones are met again; others share the memory of plans
            with self.looking():
                return record(self._given, step, few, arena=cache.arena).output
        if (plan := step.plans.get(self._plan_key(few))) is None:
            return self._plan(cache, step, few).output
        plan.run()
        return plan.output

    def _plan(self, cache: Cache, step: Step, few: bool = False) -> Plan:
        with self.looking():
            plan = record(self._given, step, few, arena=cache.arena)
        plan.run = self.backend.compile(plan)
        # plans with adapters that were removed would keep their weights
        there = {adapter.number for adapter in self.adapters}
        for old in [key for key in step.plans if not there.issuperset(key[1])]:
            del step.plans[old]
        step.plans[self._plan_key(few)] = plan
        return plan

    def _plan_key(self, few: bool = False) -> tuple[Any, ...]:
        """What makes plans of one step differ. A plan keeps its hooks, and so their ids, alive."""
        hooks = tuple((pattern, id(hook)) for pattern, hook in self.hooks.items())
        adapters = tuple(adapter.number for adapter in self.adapters if adapter.scale)
        return hooks, adapters, self.steering.layers, few

    def looking(self, keep: Sequence[str] = ()) -> AbstractContextManager[Looking]:
        """Compute with this model's hooks and control vectors, and keep what passes some points."""
        return looking(keep, self.hooks, self.steering.edits)

    @property
    def _n_given(self) -> int:
        """How many numbers the model gives for a token: logits, or those of an embedding."""
        decoder = self.decoder
        return self.config.n_embd if isinstance(decoder, Encoder) else decoder.n_vocab

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Refuse what is not in the vocabulary, and nothing at all."""
        n_vocab = self.decoder.n_vocab
        if isinstance(tokens, str):
            raise UnsupportedError("this takes token ids: model.tokenizer.encode(text) gives them")
        if not len(tokens):
            raise ShapeError("there are no tokens to compute: pass at least one")
        for token in tokens:
            if not 0 <= token < n_vocab:
                raise UnsupportedError(
                    f"token {token} is not in the vocabulary, whose ids go from 0 to {n_vocab - 1}"
                )

    def _hidden_point(self, index: int) -> str:
        n_layer = len(self.decoder.layers)
        layer = index if index >= 0 else n_layer + 1 + index
        if not 0 <= layer <= n_layer:
            raise ShapeError(f"hidden state {index} does not exist: there are 0 to {n_layer}")
        return f"blk.{layer - 1}.l_out" if layer else "inp_embd"

    # ---- looking inside

    def logit_lens(
        self, tokens: Sequence[int], *, encoder_tokens: Sequence[int] | None = None
    ) -> Floats:
        """What each layer would say if it were the last: logits [layers + 1, n, V].

        Row 0 is the embedding's, the last one what `forward` gives.
        """
        return logit_lens(self, tokens, encoder_tokens=encoder_tokens)

    def routing(
        self,
        tokens: Sequence[int],
        *,
        force: Mapping[int, Sequence[int]] | None = None,
        ban: Mapping[int, Collection[int]] | None = None,
    ) -> dict[int, Routing]:
        """Which experts each token goes to, and with which weights, for every layer that has some.

        `force={3: (0, 5)}` sends all tokens of layer 3 to these, `ban={2: {7}}` none of layer 2
        there.
        """
        return routing(self, tokens, force=force, ban=ban)

    # ---- adapters and control vectors

    def add_lora(
        self, adapter: str | os.PathLike[str] | bytes | Lora, scale: float = 1.0
    ) -> Adapter:
        """Add a LoRA adapter, from a GGUF file, to the model's matrices, which stay as they are.

        Several add up. Its `.scale` can be set; `.remove()` gives the model back as it was.
        """
        return add_lora(self, adapter, scale)

    def steer(
        self,
        vector: str | os.PathLike[str] | bytes | ControlVector,
        scale: float = 1.0,
        layers: Iterable[int] | None = None,
    ) -> Steer:
        """Add a control vector's directions to what layers give; to some layers only, if named.

        Several add up. Its `.scale` can be set; `.remove()` ends it.
        """
        return self.steering.add(vector, scale, layers)


def _host(logits: Tensor | None, count: int, n_vocab: int) -> Floats:
    """The first rows of the logits, on the host; the others pad the batch."""
    if logits is None:
        return np.zeros((0, n_vocab), np.float32)
    return logits.numpy()[:count]
