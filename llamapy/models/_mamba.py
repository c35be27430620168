"""What models with state spaces share: their sizes, and what their layers remember."""

from __future__ import annotations

from dataclasses import dataclass

from ..cache import Recurrent
from ._config import Config, key


@dataclass(frozen=True)
class MambaConfig(Config):
    """The sizes of a state space whose columns each have a state."""

    n_conv: int = key("ssm.conv_kernel")
    n_inner: int = key("ssm.inner_size")
    n_state: int = key("ssm.state_size")
    n_time: int = key("ssm.time_step_rank")

    @property
    def memory(self) -> Recurrent:
        """What a layer remembers."""
        return Recurrent(
            conv=(self.n_conv - 1, self.n_inner),
            ssm=(self.n_inner, 1, self.n_state),
        )

    @property
    def sizes(self) -> dict[str, int]:
        letters = {"W": self.n_conv, "I": self.n_inner, "N": self.n_state, "J": self.n_time}
        return {**super().sizes, **letters}


@dataclass(frozen=True)
class Mamba2Config(MambaConfig):
    """The sizes of one whose heads each have a state, and whose heads come in groups."""

    n_group: int = key("ssm.group_count")

    @property
    def memory(self) -> Recurrent:
        return Recurrent(
            conv=(self.n_conv - 1, self.n_inner + 2 * self.n_group * self.n_state),
            ssm=(self.n_time, self.n_inner // self.n_time, self.n_state),
        )

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "G": self.n_group}
