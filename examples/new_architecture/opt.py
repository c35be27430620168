"""OPT: GPT-2 with ReLU in its feed-forward block."""

from llamapy import ops
from llamapy.models import gpt2
from llamapy.nn import GeluMLP, block, group


@block
class ReluMLP(GeluMLP):
    """down(relu(up(x)))"""

    def __call__(self, x):
        y = ops.see("ffn_relu", ops.relu(self.ffn_up(x)))  # [T, F]
        return ops.see("ffn_out", self.ffn_down(y))


@block
class Layer(gpt2.Layer):
    """As GPT-2's."""

    ffn: ReluMLP = group()


class OPT(gpt2.GPT2):
    """As GPT-2."""

    Layer = Layer
