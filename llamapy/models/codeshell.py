"""CodeShell: StarCoder2, and the output may serve as embedding."""

from __future__ import annotations

from ..nn import Embedding, Linear, block, w
from . import orion, starcoder2


@block
class Ends(orion.Ends):
    """One of the two large matrices may be missing."""

    output: Linear = w("V, E")
    token_embd: Embedding | None = w("V, E")


class CodeShell(starcoder2.StarCoder2):
    """Other models leave out the output if it is the embedding; this one the embedding."""

    Ends = Ends

    def setup(self) -> None:
        super().setup()
        if self.ends.token_embd is None:
            self.ends.token_embd = Embedding(self.ends.output.weight)
            self.ends.token_embd.name, self.ends.token_embd.config = "token_embd", self.config
