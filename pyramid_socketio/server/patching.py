"""What was imported before gevent patched the standard library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

__all__ = ["imported_too_early"]

#: What blocks a process when it is called unpatched.
BLOCKING: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("sleep",),
    "socket": ("socket", "create_connection", "getaddrinfo"),
    "ssl": ("SSLContext", "SSLSocket"),
    "select": ("select", "poll", "epoll"),
    "subprocess": ("Popen", "run", "call", "check_call", "check_output"),
    "threading": ("Lock", "RLock", "Event", "Condition"),
    "_thread": ("start_new_thread", "allocate_lock"),
}


def imported_too_early() -> list[str]:
    """Name the modules that hold something of the standard library from before it was patched, sorted.

    ``import time`` does no harm, whenever it came; ``from time import sleep`` does when it came before.
    """
    from gevent import monkey

    originals = {
        id(original): original
        for module, names in BLOCKING.items()
        for name in names
        if hasattr(sys.modules.get(module), name)
        and (original := monkey.get_original(module, name)) is not getattr(sys.modules[module], name)
    }
    # These patch, or are what is patched; and a second name that multiprocessing gives to ``__main__``.
    exempt = {"gevent", "greenlet", "__mp_main__", *sys.stdlib_module_names}
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in exempt
        and any(id(value) in originals for value in list(getattr(module, "__dict__", {}).values()))
    )
