"""What decoders share whose rope has sections: some pairs turn by time, others by height or width.

A text's token stands at one time, height and width, all the same number, and its fourth position
is 0: the pairs that turn by that stand still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import ops
from ..errors import FormatError
from ..nn import Rope
from ..nn.rope import interleaved_components, section_components
from . import llama
from ._config import list_key

FOURTH = 3


@dataclass(frozen=True)
class Config(llama.Config):
    """How many pairs turn by each of the four positions; then it begins anew."""

    rope_sections: tuple[int, ...] = list_key("rope.dimension_sections")

    def __post_init__(self) -> None:
        super().__post_init__()
        sections = self.rope_sections
        if len(sections) != 4 or min(sections) < 0 or sum(sections) < 1:
            raise FormatError(
                f"four numbers of pairs are needed, and they are {list(sections)}: convert the "
                f"model again",
                field="rope.dimension_sections",
            )


class SectionedLlama(llama.Llama):
    """Llama whose sections follow each other."""

    Config, rotation = Config, ops.rope_halves
    components: ClassVar[Callable[..., Any]] = staticmethod(section_components)

    def make_rope(self, base: float, dim: int | None = None) -> Rope:
        rope = super().make_rope(base, dim)
        frequencies = rope.frequencies.numpy()
        whose = self.components(self.config.rope_sections, len(frequencies))
        turning = frequencies * (whose != FOURTH)
        return Rope(rope.op, turning, self.backend, magnitude=rope.magnitude)


class InterleavedLlama(SectionedLlama):
    """Llama whose sections take turns, pair by pair."""

    components = staticmethod(interleaved_components)
