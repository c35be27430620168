"""Models without tools: reasoning, if any, and text."""

from ..dialect import Dialect


class Plain(Dialect):
    """<think>reasoning</think>text"""
