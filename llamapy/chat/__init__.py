"""Conversations: chat templates, and what models answer in them."""

from .answer import Answer, CallPiece, ToolCall
from .dialect import Dialect
from .parsing import Parser, all_dialects, dialect_of, parse
from .template import ChatTemplate, Limits, Raised

__all__ = [
    "Answer",
    "CallPiece",
    "ChatTemplate",
    "Dialect",
    "Limits",
    "Parser",
    "Raised",
    "ToolCall",
    "all_dialects",
    "dialect_of",
    "parse",
]
