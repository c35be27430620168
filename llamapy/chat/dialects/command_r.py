"""Command R7B and later."""

from typing import ClassVar

from ..dialect import Marks
from ..json_calls import JSONCalls


class CommandR(JSONCalls):
    """<|START_ACTION|>[{"tool_call_id": ..., "tool_name": ..., "parameters": {...}}]"""

    signs: ClassVar[Marks] = ("<|START_ACTION|>", "<|START_RESPONSE|>")
    marks = {"<|START_ACTION|>": "<|END_ACTION|>"}
    members = ("tool_call_id", "tool_name", "parameters")
    thinking = ("<|START_THINKING|>", "<|END_THINKING|>")
    interrupts: ClassVar[Marks] = ("<|START_ACTION|>", "<|START_RESPONSE|>")
    layout: ClassVar[Marks] = (
        "<|START_RESPONSE|>",
        "<|END_RESPONSE|>",
        "<|CHATBOT_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
    )
