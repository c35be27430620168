"""What a forward pass gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(repr=False)
class Output:
    """What a forward pass gave. `out["blk.3.ffn_out"]` is a point that was captured."""

    logits: Floats  # [n, V]: of all tokens, the last, or none
    embeddings: Floats  # [n, E]: an encoder's, of all tokens
    hidden: dict[int, Floats] = field(default_factory=dict)  # [n, E] each
    captured: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        given = {"logits": self.logits, "embeddings": self.embeddings}
        given |= {f"hidden {i}": values for i, values in self.hidden.items()} | self.captured
        parts = [f"{name} {list(values.shape)}" for name, values in given.items() if values.size]
        return f"<Output: {', '.join(parts) or 'nothing'}>"

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.captured:
            raise KeyError(
                f"{name!r} was not captured: pass capture=({name!r},); there are "
                f"{', '.join(self.captured) or 'none'}"
            )
        return self.captured[name]
