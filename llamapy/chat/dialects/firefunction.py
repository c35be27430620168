"""FireFunction 2."""

from ..json_calls import JSONCalls


class FireFunction(JSONCalls):
    """functools[{"name": ..., "arguments": {...}}]"""

    signs = ("functools[",)
    marks = {"functools": ""}
