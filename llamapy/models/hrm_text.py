"""HRM-Text: two stacks of layers, computed in turn: a fast one several times for each of the slow.

Both read the sum of their states. Each pass over a layer remembers keys and values of its own, so
that the file counts passes as layers; it has the weights of each stack once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..errors import FormatError
from ..nn import Block, Embedding, FusedQKV, Leaf, Linear, SplitQKV, SwiGLU, block, group, w
from ..ops import scope, see
from ..tensor import Tensor
from . import llama
from ._config import key
from .granite import scaled


@dataclass(frozen=True)
class Config(llama.Config):
    """A slow cycle is `n_fast` passes over the fast stack, and one over the slow stack."""

    embedding_scale: float = key("embedding_scale", 0.0)  # 0 says that there is none
    n_stack: int = key("hrm.layers_per_stack")
    n_slow: int = key("hrm.h_cycles")
    n_fast: int = key("hrm.l_cycles")

    def __post_init__(self) -> None:
        super().__post_init__()
        passes = self.n_slow * (self.n_fast + 1)
        if min(self.n_stack, self.n_slow, self.n_fast) < 1 or self.n_layer != self.n_stack * passes:
            raise FormatError(
                f"{self.n_layer} layers are not {passes} passes over stacks of {self.n_stack}: "
                f"the file is damaged, convert it again",
                field="block_count",
            )

    @property
    def blocks(self) -> Sequence[int]:
        fast, slow = range(self.n_stack), range(self.n_stack, 2 * self.n_stack)
        return [*(*fast,) * self.n_fast, *slow] * self.n_slow


@block
class Start(Leaf):
    """What the fast stack's state is before anything is computed."""

    weight: Tensor

    @classmethod
    def tensor_name(cls, path: str, ending: str) -> str:
        return path


@block
class Ends(Block):
    """No norm."""

    token_embd: Embedding = w("V, E")
    start: Start = w("E", name="hrm.z_l_init")
    output: Linear | None = w("V, E")


@block
class Layer(Block):
    """Norms have no weights."""

    attn: SplitQKV | FusedQKV = group()
    attn_gate: Linear = w("H*D, E")
    attn_output: Linear = w("E, H*D")
    ffn: SwiGLU = group()


class HRMText(llama.Llama):
    """Layers are Llama's, with a gate behind attention; rope over halves."""

    Config, Layer, Ends, rotation = Config, Layer, Ends, ops.rope_halves

    def embed(self, step: Step) -> Tensor:
        x = self.ends.token_embd(step.tokens)
        return see("embd", scaled(x, self.config.embedding_scale))  # [T, E]

    def __call__(self, step: Step) -> Tensor | None:
        step.begin()
        slow = see("inp_embd", self.embed(step))  # [T, E]
        both = ops.add_bias(slow, self.ends.start.weight)  # of the two states
        layers = iter(zip(self.layers, step.states, strict=True))
        for _ in range(self.config.n_slow):
            for _ in range(self.config.n_fast):
                fast = self.stack(both, layers, step)
                both = ops.move(slow, fast.backend) + fast
            slow = self.stack(both, layers, step)
            both = slow + ops.move(fast, slow.backend)
        if not step.outputs.size:
            return None
        x = see("result_norm", self.at_output(ops.lookup(step.outputs, slow)))  # [O, E]
        return see("result_output", self.output(x))  # [O, V]

    def stack(self, x: Tensor, layers: Iterator[tuple[Any, Any]], step: Step) -> Tensor:
        """The next layers of one stack, and a norm."""
        for _ in range(self.config.n_stack):
            w, cache = next(layers)
            with scope(f"blk.{w.index}."):
                x = self.at(x, w.index)
                x = see("l_out", self.layer(x, w, cache, step))  # [T, E]
        with scope(f"blk.{w.index + 1 - self.config.n_stack}."):
            return see("stack_norm", self.norm(x))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(see("attn_norm", self.norm(x)), w, cache, step)
        x = see("attn_add", x + y)  # [T, E]
        return x + w.ffn(see("ffn_norm", self.norm(x)))  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
        q, k = self.rotate(q, k, w, step)
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = self.attend(q, k, v, w, cache, step)  # [T, H, D]
        y = see("attn_pregate", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        gate = see("attn_gate_sigmoid", ops.sigmoid(w.attn_gate(x)))  # [T, H*D]
        return see("attn_out", w.attn_output(see("attn_gated", y * gate)))  # [T, E]

    def norm(self, x: Tensor) -> Tensor:
        return ops.rms_norm(x, None, eps=self.config.norm_eps)
