"""What tests of real servers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """``enter(context_manager)``: what it gives; everything is closed at the end of the test, the latest first."""
    with ExitStack() as stack:
        yield stack.enter_context
