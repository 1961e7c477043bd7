"""JSON as browsers read and write it: strict on input, never ``NaN`` on output.

orjson does the work. What it refuses although JavaScript allows it (lone surrogates, integers over 64 bits, keys that are
no strings) goes to the standard library, slowly and rarely.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from ..errors import PacketError

try:
    import orjson
except ImportError:  # pragma: no cover - where orjson has no wheel (PyPy) the standard library serves alone
    orjson = None  # type: ignore[assignment]

__all__ = ["MAX_DEPTH", "Default", "dumps", "loads", "plain_dumps"]

#: Deeper JSON is refused: nothing that people send is so deep, and code that walks it would recurse.
MAX_DEPTH: Final = 64

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
    # As JavaScript reads it; also keeps int() away from texts of thousands of digits, for which it takes long.
    return int(text) if len(text) < 19 else _finite(text)


_slow_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def loads(text: str) -> Any:
    """Read JSON.

    Raises:
        PacketError: not JSON (``NaN``, numbers out of a double's range and unpaired braces included), or too deep.
    """
    try:
        value = orjson.loads(text)
    except (ValueError, TypeError, AttributeError):
        value = _slow_loads(text)
    # Nesting of N needs N opening and N closing characters, so short texts need no look.
    if len(text) > 2 * MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(value):
        raise PacketError(f"JSON nested deeper than {MAX_DEPTH}")
    return value


def _slow_loads(text: str) -> Any:
    # The standard library recurses; depth is bounded before it starts.
    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(depth, deepest)
        elif char in "]}":
            depth -= 1
        if deepest > MAX_DEPTH:
            raise PacketError(f"JSON nested deeper than {MAX_DEPTH}")
    try:
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
        return orjson.dumps(value, default)
    except (TypeError, AttributeError):
        if again is not None:
            again()
        return _slow_dumps(value, default)


def plain_dumps(value: Any) -> bytes | None:
    """As :func:`dumps`, fast, for what is JSON as it is; ``None`` for everything else."""
    try:
        return orjson.dumps(value)
    except (TypeError, AttributeError):
        return None


def _slow_dumps(value: Any, default: Default | None) -> bytes:
    # ensure_ascii, because a lone surrogate has no UTF-8; clients get it as the escape that JavaScript writes too.
    text = json.dumps(_plain(value), default=default, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
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
