"""Compiled loops of the tokenizers, over bytes."""
