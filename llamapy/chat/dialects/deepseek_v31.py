"""DeepSeek V3.1."""

from ..answer import ToolCall
from ..json_calls import named_call
from ..reading import Reading
from .deepseek_v3 import BETWEEN, CALL, SECTION, DeepSeekV3


class DeepSeekV31(DeepSeekV3):
    """Name, a mark, and {...}"""

    signs = (SECTION, CALL, BETWEEN)

    def one_call(self) -> Reading[ToolCall]:
        name, _ = yield from self.reader.until(BETWEEN)
        return (yield from named_call(self, name))
