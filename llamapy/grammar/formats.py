"""Formats of strings, as patterns. `date` and its kind are llama.cpp's."""

from __future__ import annotations

from ..errors import GrammarError

DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
TIME = rf"{CLOCK}:[0-5][0-9](\.[0-9]{{3}})?(Z|[+-]{CLOCK})"
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"({BYTE}\.){{3}}{BYTE}"
H16 = "[0-9a-fA-F]{1,4}"
LS32 = f"({H16}:{H16}|{IPV4})"
IPV6 = "|".join(
    [
        f"({H16}:){{6}}{LS32}",
        f"::({H16}:){{5}}{LS32}",
        f"({H16})?::({H16}:){{4}}{LS32}",
        f"(({H16}:){{0,1}}{H16})?::({H16}:){{3}}{LS32}",
        f"(({H16}:){{0,2}}{H16})?::({H16}:){{2}}{LS32}",
        f"(({H16}:){{0,3}}{H16})?::{H16}:{LS32}",
        f"(({H16}:){{0,4}}{H16})?::{LS32}",
        f"(({H16}:){{0,5}}{H16})?::{H16}",
        f"(({H16}:){{0,6}}{H16})?::",
    ]
)
LABEL = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
HOSTNAME = rf"{LABEL}(\.{LABEL})*"
ATOM = r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
URI_CHARACTER = r"([a-zA-Z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9a-fA-F]{2})"
CLOCKS = "([0-9]+H([0-9]+M)?([0-9]+S)?|[0-9]+M([0-9]+S)?|[0-9]+S)"

FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "uuid": UUID,
    **{f"uuid{version}": UUID for version in range(1, 6)},
    "ipv4": IPV4,
    "ipv6": IPV6,
    "hostname": HOSTNAME,
    "email": rf"{ATOM}(\.{ATOM})*@{HOSTNAME}",
    "uri": f"[a-zA-Z][a-zA-Z0-9+.-]*:{URI_CHARACTER}+",
    "duration": (
        f"P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T{CLOCKS})?|T{CLOCKS})"
    ),
}
# what makes a value a string where a schema does not say so
TYPED = frozenset({"date", "time", "date-time", "uuid", *(f"uuid{n}" for n in range(1, 6))})


def pattern_of(name: object, pointer: str) -> str:
    if not isinstance(name, str):
        raise GrammarError(f"{pointer}: a format is a string, not {name!r}")
    if name not in FORMATS:
        raise GrammarError(
            f"{pointer}: the format {name!r} cannot be enforced, only {', '.join(FORMATS)}: give a "
            f"pattern instead"
        )
    return FORMATS[name]
