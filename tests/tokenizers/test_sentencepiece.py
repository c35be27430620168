"""SentencePiece's models, against the sentencepiece package."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings

from llamapy.errors import FormatError, TokenizerError
from llamapy.tokenizers import from_sentencepiece

from .trained import CORPUS, texts

sentencepiece = pytest.importorskip("sentencepiece", reason="pip install 'llamapy[convert]'")

BYTES = {"byte_fallback": True, "vocab_size": 600}
PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
OPTIONS = {
    "pairs": {"model_type": "bpe"},
    "pairs-bytes": {"model_type": "bpe", **BYTES, **PLAIN},
    "pairs-suffix": {"model_type": "bpe", "treat_whitespace_as_suffix": True},
    "unigram": {"model_type": "unigram"},
    "unigram-bytes": {"model_type": "unigram", **BYTES, **PLAIN},
    "unigram-bare": {"model_type": "unigram", "add_dummy_prefix": False},
    "unigram-own": {"model_type": "unigram", "user_defined_symbols": ["<tool>", "eta"]},
}


def train(**options):
    out = io.BytesIO()
    options = {"vocab_size": 350, "hard_vocab_limit": False, "minloglevel": 2, **options}
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(CORPUS), model_writer=out, **options
    )
    return out.getvalue()


@pytest.fixture(scope="module", params=OPTIONS)
def model(request):
    return train(**OPTIONS[request.param])


def test_tokens_are_those_of_sentencepiece(model):
    ours = from_sentencepiece(model)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert len(ours) == theirs.GetPieceSize()

    @settings(max_examples=150, deadline=None)
    @given(texts)
    def same(text):
        assert ours.encode(text) == theirs.EncodeAsIds(text)

    same()


def test_special_tokens_are_those_of_the_model(tmp_path):
    path = tmp_path / "some.model"
    path.write_bytes(train(model_type="bpe", pad_id=3))
    tokenizer = from_sentencepiece(path)
    assert (tokenizer.unk, tokenizer.bos, tokenizer.eos, tokenizer.pad) == (0, 1, 2, 3)
    assert tokenizer.decode(tokenizer.encode("eta oin")) == "eta oin"


def test_damaged_models_are_refused():
    model = train(model_type="bpe")
    for size in (*range(1, 60, 7), len(model) // 2, len(model) - 1):
        try:
            from_sentencepiece(model[:size])
        except (FormatError, TokenizerError):
            continue
        # a whole number of pieces is a shorter model; its last field must end there
        assert model[size : size + 1] in (b"\x0a", b"\x12", b"\x1a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x7f\x01", "127 bytes are announced"),
        (b"\x0b", "kind"),
        (b"\xff" * 11, "does not end"),
        (b"\x08\x01", "number where bytes"),
        (b"\x0a\x02\x08\x01", "number where bytes"),
        (b"\x0a\x03\x0a\x01\xff", "no UTF-8"),
    ],
)
def test_what_is_no_model_is_refused(data, message):
    with pytest.raises(FormatError, match=message):
        from_sentencepiece(data)


def test_other_kinds_are_refused():
    with pytest.raises(TokenizerError, match="type 4"):
        from_sentencepiece(train(model_type="char"))
    with pytest.raises(TokenizerError, match="no pieces"):
        from_sentencepiece(b"")
