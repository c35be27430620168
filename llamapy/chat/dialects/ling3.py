"""Ling 3 (Bailing 3)."""

from .glm4 import GLM4


class Ling3(GLM4):
    """As GLM 4, with roles in tags."""

    signs = (*GLM4.signs, "<role>ASSISTANT</role>")
    layout = ("<role>ASSISTANT</role>", "<|role_end|>")
