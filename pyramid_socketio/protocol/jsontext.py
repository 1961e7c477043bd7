"""JSON as browsers read and write it: strict on input, never ``NaN`` on output.

orjson does the work. What it refuses although JavaScript allows it (lone surrogates, integers over 64 bits, keys that
are no strings) goes to the standard library, slowly and rarely.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from ..errors import PacketError

try:
    import orjson
except ImportError:  # pragma: no cover - where orjson has no wheel (PyPy) the standard library serves alone
    orjson = None  # type: ignore[assignment]

__all__ = ["MAX_DEPTH", "Default", "dumps", "loads", "native", "plain_dumps", "utf8"]

#: Deeper JSON is refused: nothing that people send is so deep, and code that walks it would recurse.
MAX_DEPTH: Final = 64

#: Data classes and dates are the application's to write, by `__json__` or an adapter, before they are orjson's.
_OPTIONS: Final = 0 if orjson is None else orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

#: Turns a value that is no JSON into one that is; raises ``TypeError`` where it cannot.
Default = Callable[[Any], Any]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return number


def _integer(text: str) -> int | float:
    # The integers that orjson gives back as such. A longer text never gets to int(), which takes long for thousands of
    # digits.
    number = int(text) if len(text) <= 20 else _finite(text)
    return number if -(2**63) <= number < 2**64 else float(number)


_slow_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer)

#: How surrogates are written, lone ones among them. With ``\\u0`` in the same place JSON is still the same otherwise.
_SURROGATE: Final = re.compile(r"\\u[dD]")

#: Of JSON without its strings, only the brackets are left, of one kind.
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _too_deep(text: str) -> bool:
    """Whether ``text``, which is JSON, is nested deeper than MAX_DEPTH.

    A walk over the value would take as long as reading it did, even where there are a thousand containers side by side.
    """
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    brackets = "".join(text.split('"')[::2]).encode("ascii").translate(_ONE_KIND, _OTHERS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
        if not brackets:
            return False
    return True


def loads(text: str) -> Any:
    """Read JSON.

    Raises:
        PacketError: not JSON (``NaN``, numbers out of a double's range and unpaired braces included), or too deep.
    """
    try:
        value = orjson.loads(text)
    except (ValueError, AttributeError) as error:
        value = _slow_loads(text, str(error))
    # Nesting of N needs N opening and N closing characters, so short texts need no look.
    if len(text) > 2 * MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(text):
        raise PacketError(f"JSON nested deeper than {MAX_DEPTH}")
    return value


def _slow_loads(text: str, why: str) -> Any:
    """Read JSON in which there may be lone surrogates; ``why`` is what orjson said."""
    try:
        if orjson is not None:
            same, surrogates = _SURROGATE.subn(r"\\u0", text)
            if not surrogates:
                raise ValueError(why)
            # Bounds the nesting, too: the standard library recurses.
            orjson.loads(same)
        return _slow_decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"not JSON: {error}") from None


def dumps(value: Any, default: Default | None = None, again: Callable[[], None] | None = None) -> bytes:
    """Write JSON in UTF-8, without blanks; ``NaN`` and infinities become ``null`` as in JavaScript.

    Args:
        default: called for each value that is no JSON, depth first, in the order of the output.
        again: called where everything has to be written a second time, so that ``default`` can forget the first.

    Raises:
        TypeError, ValueError: what the application sends cannot be JSON.
    """
    try:
        return orjson.dumps(value, default, _OPTIONS)
    except (TypeError, AttributeError):
        if again is not None:
            again()
    try:
        return _slow_dumps(value, default)
    except RecursionError:
        raise ValueError("too deep for JSON, or a part of itself") from None


def plain_dumps(value: Any) -> bytes | None:
    """As :func:`dumps`, fast, for what is JSON as it is; ``None`` for everything else."""
    try:
        return orjson.dumps(value, None, _OPTIONS)
    except (TypeError, AttributeError):
        return None


def utf8(text: str) -> bytes:
    """Text that is no JSON, as JavaScript writes it: half of a surrogate pair becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def native(value: Any) -> Any:
    """JSON for a value that has an obvious form: dates and times, data classes, UUIDs, enumerations.

    The last resort, after the application's own ways: it may have reasons to show less of a data class.

    Raises:
        TypeError: it has none.
    """
    try:
        return orjson.loads(orjson.dumps(value))
    except (TypeError, AttributeError):
        raise TypeError(
            f"{type(value).__name__} is not JSON serializable; give it a __json__ method or an adapter"
        ) from None


def _slow_dumps(value: Any, default: Default | None) -> bytes:
    def replace(item: Any) -> Any:
        return _plain((default or native)(item))

    # ensure_ascii, because a lone surrogate has no UTF-8; clients get it as the escape that JavaScript writes too.
    text = json.dumps(_plain(value), default=replace, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def _plain(value: Any) -> Any:
    """Replace what Python's encoder would write as ``NaN`` or ``Infinity``."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
