"""Ministral 3, Magistral and Devstral: each call has its mark, reasoning its own."""

from .mistral_small import MistralSmall


class Ministral(MistralSmall):
    """[THINK]reasoning[/THINK]text[TOOL_CALLS]name[ARGS]{...}"""

    signs = ("[TOOL_CALLS]", "[ARGS]")
