"""Jina Embeddings v3: Nomic's BERT with an ungated GELU block."""

from __future__ import annotations

from . import bert, nomic_bert


class JinaBertV3(nomic_bert.NomicBert):
    """As Nomic's, with the layers of BERT."""

    Layer = bert.Layer
