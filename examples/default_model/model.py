"""The network: a small llama, as one reads it in PyTorch, ready to be trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The sizes; rows of every matrix are multiples of 32, as the blocks of Q8_0 want."""

    n_vocab: int = 2048
    n_layers: int = 5
    width: int = 192
    n_heads: int = 6
    n_kv_heads: int = 2
    hidden: int = 512
    n_ctx: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.width // self.n_heads


class Attention(nn.Module):
    """Each token looks back at those before it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.n_kv_heads * shape.head_dim
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, kv_width, bias=False)
        self.value = nn.Linear(shape.width, kv_width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, width = x.shape

        def heads(y: Tensor, n: int) -> Tensor:
            return y.view(rows, length, n, self.shape.head_dim).transpose(1, 2)

        query = turned(heads(self.query(x), self.shape.n_heads), cos, sin)
        key = turned(heads(self.key(x), self.shape.n_kv_heads), cos, sin)
        value = heads(self.value(x), self.shape.n_kv_heads)
        group = self.shape.n_heads // self.shape.n_kv_heads
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        seen = looked_back(query, key, value)
        return self.out(seen.transpose(1, 2).reshape(rows, length, width))


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on neighbouring pairs, the order that a llama's GGUF file has."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


def looked_back(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention in plain steps: for heads this small, faster on a CPU than the fused operator."""
    _, n_heads, length, head_dim = query.shape
    future = torch.full((length, length), -torch.inf, dtype=query.dtype).triu(1)
    query, key, value = (x.flatten(0, 1) for x in (query * head_dim**-0.5, key, value))
    scores = torch.baddbmm(future.expand(len(query), -1, -1), query, key.mT)
    return (scores.softmax(-1) @ value).unflatten(0, (-1, n_heads))


class FeedForward(nn.Module):
    """What one token makes of what it saw."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, shape.epsilon)
        self.attention = Attention(shape)
        self.forward_norm = nn.RMSNorm(shape.width, shape.epsilon)
        self.feed_forward = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.feed_forward(self.forward_norm(x))


class Llama(nn.Module):
    """Token ids in, the loss of guessing each next one out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.n_vocab, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.width, shape.epsilon)
        frequency = shape.rope_base ** -(torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angle = torch.outer(torch.arange(shape.n_ctx), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        deep = (2 * shape.n_layers) ** -0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                small = deep if name.endswith(("out.weight", "down.weight")) else 1.0
                nn.init.normal_(weight, std=0.02 if "embedding" in name else 0.05 * small)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits, from the embedding turned round: it is tied."""
        x = self.embedding(tokens)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return functional.linear(self.norm(x), self.embedding.weight)

    def loss(self, tokens: Tensor) -> Tensor:
        logits = self(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
