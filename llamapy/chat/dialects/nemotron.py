"""Nemotron Nano 2."""

from ..json_calls import JSONCalls


class Nemotron(JSONCalls):
    """<TOOLCALL>[{"name": ..., "arguments": {...}}]</TOOLCALL>"""

    signs = ("<TOOLCALL>",)
    marks = {"<TOOLCALL>": "</TOOLCALL>"}
    layout = ("<SPECIAL_12>",)
