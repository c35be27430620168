"""GGUF files: tensors by name, metadata, nothing read before it is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import FormatError
from .header import Header, read_header
from .metadata import Metadata
from .source import Source
from .tensor import TensorInfo
from .types import ArrayType, ValueType

SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"
SPLIT_TYPES = {
    SPLIT_NO: ValueType.UINT16,
    SPLIT_COUNT: ValueType.UINT16,
    SPLIT_TENSORS: ValueType.INT32,
}


class GGUF(Mapping[str, TensorInfo]):
    r"""The tensors of a file, in its order, and its metadata.

    >>> GGUF.open(b"GGUF\3\0\0\0" + bytes(16))
    <GGUF v3, 0 tensors, 0 metadata values, 24 bytes>
    """

    def __init__(self, headers: list[Header], sources: list[Source]) -> None:
        first = headers[0]
        self.metadata = Metadata.of(first.values)
        self.version: int = first.version
        self.alignment: int = first.alignment
        self.data_offset: int = first.data_offset
        self.byteorder: Literal["little", "big"] = sources[0].order.name
        self.paths: tuple[Path, ...] = tuple(s.path for s in sources if s.path is not None)
        self.size: int = sum(source.size for source in sources)
        self._sources = sources
        self._tensors: dict[str, TensorInfo] = {}
        for header in headers:
            self._tensors |= header.tensors

    @classmethod
    def open(cls, path_or_bytes: Any) -> GGUF:
        """Open a file by its path, or the bytes of one: bytes, bytearray, memoryview, mmap.

        A model that is split into several files is opened by the first of them.
        """
        if isinstance(path_or_bytes, (str, os.PathLike)):
            path = Path(path_or_bytes)
            source = Source.of_file(path)
        else:
            path = None
            source = Source(path_or_bytes)
        sources = [source]
        try:
            headers = [_read_part(source, path)]
            if (count := _split_count(headers[0])) > 1:
                _open_parts(path, count, headers, sources)
            return cls(headers, sources)
        except BaseException:
            for source in sources:
                source.close()
            raise

    def forget(self) -> None:
        """Let go of the file's pages in memory: what is looked at again is read again."""
        for source in self._sources:
            source.forget()

    def close(self) -> None:
        """Let the files go. Arrays that were made stay good; new ones are refused."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> GGUF:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> TensorInfo:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        where = f" {self.paths[0].name!r}" if self.paths else ""
        parts = f" in {len(self.paths)} files" if len(self.paths) > 1 else ""
        order = ", big-endian" if self.byteorder == "big" else ""
        tensors = f"{len(self)} tensor{'s' if len(self) != 1 else ''}"
        return (
            f"<GGUF{where} v{self.version}{order}, {tensors}, "
            f"{len(self.metadata)} metadata values, {self.size} bytes{parts}>"
        )

    def _repr_html_(self) -> str:
        from .html import page

        return page(self)


# ---- models in several files


def split_path(path: Path, number: int, count: int) -> Path:
    """The name of a part, from 1: `model.gguf` gives `model-00001-of-00003.gguf`."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?(\.gguf)?$", "", path.name)
    return path.with_name(f"{stem}-{number:05}-of-{count:05}.gguf")


def _split_value(header: Header, key: str, where: str) -> int:
    value = header.values.get(key)
    kind = SPLIT_TYPES[key]
    if value is None:
        raise FormatError(f"{where} is a part of a split model without {key}: split it again",
                          field=key)  # fmt: skip
    if value.type is not kind:
        stored = value.type if isinstance(value.type, ArrayType) else value.type.name
        raise FormatError(
            f"{where} has a {stored}, and it must be {kind.name}: split the model again",
            offset=value.start,
            field=key,
            value=value.type,
        )
    return int(value.get())


def _split_count(header: Header) -> int:
    if SPLIT_COUNT not in header.values:
        return 1
    return _split_value(header, SPLIT_COUNT, "the file")


def _open_parts(
    path: Path | None, count: int, headers: list[Header], sources: list[Source]
) -> None:
    """Open the parts after the first, and hold each against what it should be."""
    if path is None:
        raise FormatError(
            f"these bytes are one of {count} parts of a model: open the first by its path",
            offset=headers[0].values[SPLIT_COUNT].start,
            field=SPLIT_COUNT,
            value=count,
        )
    number = _split_value(headers[0], SPLIT_NO, path.name) + 1
    if number != 1:
        raise FormatError(
            f"{path.name} is part {number} of {count}: open the first, "
            f"{split_path(path, 1, count).name}",
            offset=headers[0].values[SPLIT_NO].start,
            field=SPLIT_NO,
            value=number - 1,
        )
    if (expected := split_path(path, 1, count)).name != path.name:
        raise FormatError(
            f"{path.name} is the first of {count} parts and must be named {expected.name}, "
            f"or the others cannot be found: rename it",
            field="file",
        )
    names = set(headers[0].tensors)
    for number in range(2, count + 1):
        part = split_path(path, number, count)
        if not part.exists():
            raise FormatError(
                f"part {number} of {count} is missing: put {part.name} beside {path.name}",
                field="file",
            )
        source = Source.of_file(part)
        sources.append(source)
        header = _read_part(source, part)
        headers.append(header)
        for key, told in ((SPLIT_NO, number - 1), (SPLIT_COUNT, count)):
            if (value := _split_value(header, key, part.name)) != told:
                raise FormatError(
                    f"{part.name} says {value} where {told} is expected: the parts are swapped or "
                    f"of different models; get them again",
                    offset=header.values[key].start,
                    field=key,
                    value=value,
                )
        if source.order is not sources[0].order:
            raise FormatError(
                f"{part.name} is {source.order.name}-endian, unlike the first part: get it again",
                offset=4,
                field="version",
            )
        if twice := names & header.tensors.keys():
            raise FormatError(
                f"{part.name} holds {min(twice)!r}, and so does a part before it: get it again",
                field="tensor name",
                value=min(twice),
            )
        names |= header.tensors.keys()
    total = _split_value(headers[0], SPLIT_TENSORS, path.name)
    if total != len(names):
        raise FormatError(
            f"{path.name} promises {total} tensors, and the {count} parts hold {len(names)}: get "
            f"them again",
            offset=headers[0].values[SPLIT_TENSORS].start,
            field=SPLIT_TENSORS,
            value=total,
        )


def _read_part(source: Source, path: Path | None) -> Header:
    """The header, or an error that names the file that it is of."""
    try:
        return read_header(source)
    except FormatError as error:
        if path is not None:
            error.args = (f"{path.name}: {error}",)
        raise
