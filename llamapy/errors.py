"""Every error that llamapy raises on purpose.

* LlamapyError
    + FormatError          a file is malformed: where, which field, what value, which rule
    + UnsupportedError     a valid request that llamapy cannot serve
    + DeviceUnavailable    the device that was asked for is not on this machine
    + ShapeError           sizes that do not fit together
    + MemoryPlanError      there is not enough memory; nothing was allocated
    + QuantizationError    values or importance that a block format cannot hold
    + ImatrixError         an importance matrix that does not fit the model or the type
    + OutputError          a file could not be written; nothing was left behind
    + TokenizerError       a vocabulary that cannot be used, or text that it cannot take
    + GrammarError         a grammar or schema that is malformed, or cannot be enforced
    + TemplateError        a chat template that fails, or does what it may not
    + EngineBusy           too many requests wait already; try again later
    + Cancelled            a progress callback returned False; nothing was left behind

A message names the thing, the rule and the value, and ends with what to do next.
"""

from __future__ import annotations


class LlamapyError(Exception):
    """Base of all errors that llamapy raises on purpose."""


class FormatError(LlamapyError, ValueError):
    """A file breaks its format.

    `offset` is the byte where, `field` the part of the format, `value` what stood there.
    """

    def __init__(
        self, message: str, *, offset: int | None = None, field: str = "", value: object = None
    ) -> None:
        where = f"byte {offset}: " if offset is not None else ""
        super().__init__(f"{where}{field + ': ' if field else ''}{message}")
        self.offset, self.field, self.value = offset, field, value


class UnsupportedError(LlamapyError, ValueError):
    """A valid request that llamapy cannot serve."""


class DeviceUnavailable(LlamapyError, RuntimeError):
    """The device that was asked for is not there. llamapy never falls back to another silently."""


class ShapeError(LlamapyError, ValueError):
    """Sizes that do not fit together."""


class MemoryPlanError(LlamapyError, MemoryError):
    """There is not enough memory for what was asked. Nothing was allocated."""


class QuantizationError(LlamapyError, ValueError):
    """Values or importance weights that a block format cannot hold."""


class ImatrixError(LlamapyError, ValueError):
    """An importance matrix that is malformed or does not fit the model or the type."""


class OutputError(LlamapyError, OSError):
    """A file could not be written. Whatever stood under that name before still does."""


class TokenizerError(LlamapyError, ValueError):
    """A vocabulary that cannot be used, or text that it cannot take."""


class GrammarError(LlamapyError, ValueError):
    """A grammar or a schema that is malformed, or that could not be enforced as it stands."""


class TemplateError(LlamapyError, ValueError):
    """A chat template that fails, takes too much, or tries what it may not."""


class EngineBusy(LlamapyError, RuntimeError):
    """Too many requests wait for an engine already. Try again later."""


class Cancelled(LlamapyError):
    """A progress callback returned False. Nothing was left behind."""
