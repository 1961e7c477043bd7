"""The runners that ``pserve`` finds by their entry points in ``paste.server_runner``.

Nothing here imports gevent before something is served, so that ``sioserver_patched`` can still patch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .patching import imported_too_early
from .run import bind, run
from .section import parse_section

__all__ = ["main", "sioserver", "sioserver_patched"]

log = logging.getLogger(__name__)


def sioserver(app: Any, global_conf: Mapping[str, str] | None = None, **values: Any) -> None:
    """Serve for ``pserve``; entry points ``main`` and ``sioserver`` of ``paste.server_runner``.

    Nothing is patched: what blocks in the application (``time.sleep``, a database driver) blocks every client.

    Raises:
        ConfigurationError, BindError: see :func:`parse_section` and :func:`bind`.
    """
    from gevent import monkey

    if not monkey.is_module_patched("socket"):
        log.warning(
            "the standard library is not patched: what blocks in the application blocks every client;"
            " socketio-serve patches before it loads the application"
        )
    _serve_section(app, values)


main = sioserver


def sioserver_patched(app: Any, global_conf: Mapping[str, str] | None = None, **values: Any) -> None:
    """As :func:`sioserver`, with the standard library patched first; entry point ``sioserver_patched``."""
    from gevent import monkey

    monkey.patch_all()
    if early := imported_too_early():
        log.warning(
            "imported before the standard library was patched, and blocking therefore: %s;"
            " socketio-serve patches before it loads the application",
            ", ".join(early),
        )
    _serve_section(app, values)


def _serve_section(app: Any, values: Mapping[str, Any]) -> None:
    section = parse_section(values)
    run(app, [bind(address) for address in section.addresses], section.options)
