"""DeepSeek V3.1."""

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..forcing import Function
from ..json_calls import named_call
from ..reading import Reading
from .deepseek_v3 import BETWEEN, CALL, CALL_END, SECTION, DeepSeekV3


class DeepSeekV31(DeepSeekV3):
    """Name, a mark, and {...}"""

    signs = (SECTION, CALL, BETWEEN)

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq(CALL, function.name, BETWEEN, function.arguments, CALL_END)

    def one_call(self) -> Reading[ToolCall]:
        name, _ = yield from self.reader.until(BETWEEN)
        return (yield from named_call(self, name))
