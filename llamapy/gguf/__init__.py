"""GGUF files: tensors and metadata, read without copying and written whole or not at all."""

from .arrays import Array, Strings
from .compare import Difference, diff
from .digest import ContentHash, content_hash
from .edit import edit
from .metadata import Metadata
from .reader import GGUF
from .splits import merge, split
from .tensor import TensorInfo
from .types import ArrayType, ValueType
from .values import Value, infer, typed
from .writer import Encoded, Stream, write

__all__ = [
    "GGUF",
    "Array",
    "ArrayType",
    "ContentHash",
    "Difference",
    "Encoded",
    "Metadata",
    "Stream",
    "Strings",
    "TensorInfo",
    "Value",
    "ValueType",
    "content_hash",
    "diff",
    "edit",
    "infer",
    "merge",
    "split",
    "typed",
    "write",
]
