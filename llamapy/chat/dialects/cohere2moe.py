"""Cohere's mixtures of experts, such as North Code."""

from .command_r import CommandR


class Cohere2MoE(CommandR):
    """As Command R, but for the names of marks around text."""

    signs = ("<|START_ACTION|>", "<|START_TEXT|>")
    interrupts = ("<|START_ACTION|>", "<|START_TEXT|>")
    layout = (
        *("<|START_TEXT|>", "<|END_TEXT|>", "<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        "<|END_OF_TURN_TOKEN|>",
    )
