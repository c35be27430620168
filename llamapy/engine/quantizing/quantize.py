"""Quantizing a whole model: a GGUF file in, a smaller one out.

The file made is the one that llama.cpp makes: the same formats, metadata and order of tensors.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import gguf, quants
from ...errors import Cancelled, ImatrixError, OutputError, UnsupportedError
from ...gguf import GGUF, Metadata, TensorInfo, ValueType, typed
from ...gguf.reader import split_path
from ...gguf.types import LITTLE, VERSIONS
from ...gguf.writer import Part, numbered_parts, plan_tensors, write_parts
from ...quants.base import Floats
from . import mixing
from .encoding import check_possible, convert
from .file_types import COPY, FileType, find, guess
from .imatrix import Imatrix
from .mixing_rules import EMBEDDINGS, Model
from .plan import Change, Plan

QUANTIZATION_VERSION = 2  # of all block formats together, as ggml counts it
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")
LAYER = re.compile(r"blk\.(\d+)\.")

Formats = Mapping[str, str] | Iterable[tuple[str, str]]
Progress = Callable[[int, int], object]


def quantize(
    src: str | os.PathLike[str] | GGUF,
    dst: str | os.PathLike[str] | None,
    file_type: str | int | FileType,
    imatrix: Any = None,
    *,
    pure: bool = False,
    tensor_types: Formats | None = None,
    output_tensor_type: str | None = None,
    token_embedding_type: str | None = None,
    leave_output_tensor: bool = False,
    allow_requantize: bool = False,
    keep_split: bool = False,
    prune_layers: Iterable[int] = (),
    override_metadata: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Write `dst`, the model `src` as this file type, and tell what became of each tensor.

    A file type is a recipe: "Q4_K_M" gives most tensors Q4_K and some more bits, as llama.cpp does;
    `pure` gives all the same, "COPY" changes none. `tensor_types` maps patterns (regular
    expressions, found anywhere in a tensor's name) to block formats; the first found counts.
    `imatrix` is a file, an `Imatrix`, or a mapping of tensor names to column weights.
    `override_metadata` sets metadata, `prune_layers` leaves layers out, and `keep_split` writes as
    many files as were read. A dry run writes nothing. `progress(done, total)` counts weights, and
    stops the work by returning False. Whatever goes wrong, `dst` is whole or untouched.
    """
    started = time.perf_counter()
    kind = find(file_type)
    if kind.name == "NVFP4":
        raise UnsupportedError(
            "NVFP4 files are made by converting a model that was trained for NVFP4: choose another "
            'file type, or give single tensors NVFP4 with tensor_types={"ffn": "NVFP4"}'
        )
    importance = Imatrix.of(imatrix)
    request = mixing.Request(
        kind,
        pure=pure,
        imatrix=bool(importance),
        leave_output=leave_output_tensor,
        output=quants.get(output_tensor_type).name if output_tensor_type else "",
        embedding=quants.get(token_embedding_type).name if token_embedding_type else "",
        by_name=_patterns(tensor_types),
    )
    file = src if isinstance(src, GGUF) else GGUF.open(src)
    try:
        job = _Job(file, request, importance, prune_layers, override_metadata or {}, keep_split)
        job.check(allow_requantize, dry_run)
        if dry_run:
            return job.plan((), time.perf_counter() - started)
        if dst is None:
            raise OutputError("there is no name for the new file: give dst, or ask for a dry run")
        job.check_target(Path(dst))
        paths = job.write(Path(dst), threads, progress)
        return job.plan(paths, time.perf_counter() - started)
    finally:
        if file is not src:
            file.close()


class _Job:
    """One model on its way: what becomes of each tensor, and then the writing."""

    def __init__(
        self,
        file: GGUF,
        request: mixing.Request,
        imatrix: Imatrix | None,
        prune_layers: Iterable[int],
        overrides: Mapping[str, Any],
        keep_split: bool,
    ) -> None:
        self.file, self.request, self.imatrix = file, request, imatrix
        self.keep_split = keep_split and len(file.paths) > 1
        pruned = sorted(set(prune_layers))
        names, layers = _renamed(sorted(file, key=file_order), pruned)
        order = sorted(names, key=file_order)
        metadata = self._metadata(overrides, order)
        if pruned:
            self._check_pruned(pruned)
            block_count = f"{file.metadata.get('general.architecture', '')}.block_count"
            self.metadata = _set(metadata, {block_count: typed(ValueType.UINT32, layers)})
        else:
            self.metadata = metadata
        if self.keep_split:
            at: dict[Path | None, int] = {path: i for i, path in enumerate(file.paths)}
            order.sort(key=lambda name: (at[_path(file[name])], file[name].offset))
        present = [(names[name], _shape(file[name]), file[name].quant.name) for name in order]
        formats = mixing.formats(Model.from_metadata(metadata), present, request)
        self.changes = tuple(
            Change(new, old, shape, file[old].quant, quants.get(after), self._lacking(old, after))
            for old, (new, shape, _), after in zip(order, present, formats, strict=True)
        )

    # ---- what will be

    def _metadata(self, overrides: Mapping[str, Any], order: Sequence[str]) -> Metadata:
        """The source's metadata, and at its end what quantizing says."""
        file_type = self.request.file_type.id
        if self.request.file_type is COPY:
            formats = [self.file[name].quant.name for name in order]
            file_type = self.file.metadata.get("general.file_type", guess(formats))
        changes: dict[str, Any] = {
            "general.quantization_version": typed(ValueType.UINT32, QUANTIZATION_VERSION),
            "general.file_type": typed(ValueType.UINT32, file_type),
            **{key: _override(key, value) for key, value in overrides.items()},
        }
        if self.imatrix:
            changes |= self.imatrix.metadata()
        split = [key for key in SPLIT_KEYS if key in self.file.metadata]
        return _set(self.file.metadata.updated(remove=split), changes)

    def _check_pruned(self, layers: Sequence[int]) -> None:
        """Refuse to leave out layers that are not there."""
        there = {int(found[1]) for name in self.file if (found := LAYER.search(name))}
        if strange := [layer for layer in layers if layer not in there]:
            raise UnsupportedError(
                f"prune_layers names layer {strange[0]}, but the model has layers "
                f"{min(there, default=0)} to {max(there, default=0)}: name some of these"
            )

    def _lacking(self, name: str, after: str) -> bool:
        """Whether the tensor needs importance weights that are not there."""
        if self.file[name].quant.name == after or self._importance(name) is not None:
            return False
        return mixing.needs_importance(name, after, self.request.file_type)

    def _importance(self, name: str) -> Floats | None:
        if self.imatrix is None:
            return None
        try:
            return self.imatrix.rows_for(name, self.file[name].shape)
        except ImatrixError:
            # the embedding's is counted by token, and never fits
            if name in EMBEDDINGS:
                return None
            raise

    def check(self, allow_requantize: bool, dry_run: bool) -> None:
        """Refuse, before any work, what would fail in the midst of it."""
        for change in self.changes:
            if change.needs_importance and not dry_run:
                missing = "has no entry for it" if self.imatrix else "is needed"
                raise ImatrixError(
                    f"{change.name} would be worthless as {change.after.name} without importance "
                    f"weights, and an importance matrix {missing}: make one from this model with "
                    f"llama-imatrix and pass it as imatrix, or choose a file type of more bits"
                )
            if not change.converts:
                continue
            tensor, weights = self.file[change.source], self._importance(change.source)
            if dry_run and change.after.importance == "required" and weights is None:
                continue
            check_possible(tensor, change.after, weights, allow_requantize=allow_requantize)

    def check_target(self, dst: Path) -> None:
        """Refuse to write over what is being read."""
        count = len(self.file.paths)
        parts = range(1, count + 1) if self.keep_split else ()
        for target in [split_path(dst, number, count) for number in parts] or [dst]:
            if any(target.exists() and target.samefile(path) for path in self.file.paths):
                raise OutputError(
                    f"{target} is the file that is read: choose another name for the result"
                )

    def plan(self, paths: Sequence[Path], seconds: float) -> Plan:
        """The result."""
        return Plan(self.request.file_type.name, self.changes, tuple(paths), seconds)

    # ---- the writing

    def write(self, dst: Path, threads: int | None, progress: Progress | None) -> Sequence[Path]:
        total = sum(change.n_values for change in self.changes)
        finished = 0

        def done(n_values: int) -> None:
            nonlocal finished
            finished += n_values
            if progress is not None and progress(finished, total) is False:
                raise Cancelled(f"quantizing was stopped by its progress callback; {dst} is as was")

        def streams(changes: Iterable[Change]) -> Iterator[tuple[str, Any]]:
            for change in changes:
                yield change.name, self._stream(change, threads, done)

        if not self.keep_split:
            return gguf.write(dst, self.metadata, streams(self.changes))
        parts = self._parts(dst, streams)
        write_parts(parts, VERSIONS[-1], LITTLE, self.file.alignment)
        return [part.path for part in parts]

    def _stream(
        self, change: Change, threads: int | None, done: Callable[[int], None]
    ) -> gguf.Stream:
        tensor = self.file[change.source]
        weights = self._importance(change.source) if change.converts else None
        return gguf.Stream(
            change.after,
            change.shape,
            lambda: convert(tensor, change.after, weights, threads=threads, done=done),
        )

    def _parts(self, dst: Path, streams: Callable[[Iterable[Change]], Any]) -> list[Part]:
        """One file for each that was read."""
        parts = [
            plan_tensors(streams(c for c in self.changes if _path(self.file[c.source]) == source))
            for source in self.file.paths
        ]
        return numbered_parts(dst, self.metadata, parts)


# ---- details


def file_order(name: str) -> tuple[int, str]:
    """Tensors stand by layer, those of no layer first, and then by name."""
    found = re.match(r"blk\.(\d+)", name)
    return (int(found[1]) if found else -1, name)


def _renamed(names: Iterable[str], pruned: Sequence[int]) -> tuple[dict[str, str], int]:
    """The new name of each tensor that stays, and how many layers there are then."""
    found = {name: LAYER.search(name) for name in names}
    layers = sorted({int(match[1]) for match in found.values() if match} - set(pruned))
    kept: dict[str, str] = {}
    for name, match in found.items():
        if match is None or not pruned:
            kept[name] = name
        elif (layer := int(match[1])) in layers:
            kept[name] = f"{name[: match.start(1)]}{layers.index(layer)}{name[match.end(1) :]}"
    return kept, len(layers)


def _set(metadata: Metadata, changes: Mapping[str, Any]) -> Metadata:
    """The metadata with these values at its end, wherever they stood before."""
    return metadata.updated(remove=[key for key in changes if key in metadata]).updated(changes)


def _override(key: str, value: Any) -> Any:
    """A value as llama.cpp stores what the user sets: whole numbers have no sign."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise UnsupportedError(
                f"override_metadata sets {key} to {value}, but numbers set so have no sign: give a "
                f"typed value, gguf.typed(ValueType.INT32, {value})"
            )
        return typed(ValueType.UINT32, value)
    return typed(ValueType.FLOAT32, value) if isinstance(value, float) else value


def _patterns(tensor_types: Formats | None) -> list[tuple[re.Pattern[str], str]]:
    """Patterns in lower case, as tensor names are, with their formats."""
    pairs = tensor_types.items() if isinstance(tensor_types, Mapping) else tensor_types or ()
    found = []
    for pattern, name in pairs:
        try:
            found.append((re.compile(pattern.lower()), quants.get(name).name))
        except re.error as error:
            raise UnsupportedError(
                f"{pattern!r} is no regular expression: {error}; mend it"
            ) from error
    return found


def _shape(tensor: TensorInfo) -> tuple[int, ...]:
    """The shape without sizes of 1 in front, which ggml does not count and llama.cpp leaves out."""
    shape = tensor.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _path(tensor: TensorInfo) -> Path | None:
    return tensor.source.path
