"""Reading `tests/vectors/*.json`: what other implementations write and read, byte by byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

__all__ = ["frame", "load", "value"]

DIRECTORY = Path(__file__).parent / "vectors"


def load(file: str, key: str = "vectors") -> list[dict[str, Any]]:
    """One list of a file, ``"eio4-packet"`` for example."""
    text = (DIRECTORY / f"{file}.json").read_text(encoding="utf-8")
    vectors: list[dict[str, Any]] = json.loads(text, parse_int=_number)[key]
    return vectors


def _number(digits: str) -> int | float:
    """An integer as JavaScript has it, which wrote these files: not exact above 2**53."""
    return int(digits) if abs(int(digits)) < 2**53 else float(digits)


def frame(encoded: dict[str, str]) -> str | bytes:
    """What is on the wire: binary as bytes, text as text.

    The bytes of the text are taken, because UTF-8 has no lone surrogates: JavaScript sends U+FFFD for them.
    """
    if "base64" in encoded:
        return base64.b64decode(encoded["base64"])
    return base64.b64decode(encoded["utf8_base64"]).decode()


def value(json_value: Any) -> Any:
    """What the application sees; a missing value is ``None``."""
    if isinstance(json_value, list):
        return [value(item) for item in json_value]
    if not isinstance(json_value, dict):
        return json_value
    if "$bytes" in json_value:
        return base64.b64decode(json_value["$bytes"])
    if "$number" in json_value:
        return float(json_value["$number"])
    if "$undefined" in json_value:
        return None
    return {key: value(item) for key, item in json_value.items()}
