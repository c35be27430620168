"""Granite 3: a mark before a list of calls; reasoning and response in tags."""

from ..json_calls import JSONCalls


class Granite(JSONCalls):
    """<think>reasoning</think><response>text</response>; <|tool_call|>[{...}]"""

    signs = ("<|tool_call|>", "<|start_of_role|>")
    marks = {"<|tool_call|>": "", "<tool_call>[": ""}
    layout = ("<response>", "</response>")
