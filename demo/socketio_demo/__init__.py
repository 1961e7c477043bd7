"""A small, complete Pyramid application on pyramid_socketio. Start reading at :mod:`socketio_demo.chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.router import Router

__all__ = ["main"]

#: What appears below the demo's own static files -> where it lies in ``node_modules``; nothing else of it is served.
FROM_NPM = {
    "uplot/": "uplot/dist/",
    "clients/2.js": "socket.io-client-2/dist/socket.io.js",
    "clients/0.9.js": "socket.io-client-0.9/dist/socket.io.js",
    # The client of the time came with the server.
    "clients/0.6.js": "socket.io-0.6/support/socket.io-client/socket.io.js",
}


def main(global_config: dict[str, str], **settings: Any) -> Router:
    """Make the WSGI application; the settings come from ``[app:main]`` of the ini file.

    Raises:
        ConfigurationError: what npm brings is not there yet.
    """
    modules = settings["demo.node_modules"]
    for source in FROM_NPM.values():
        if not Path(modules, source).exists():
            raise ConfigurationError(
                f"{modules}/{source} is missing: run `npm install` beside package.json, or scripts/demo"
            )

    with Configurator(settings=settings) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_socketio")
        config.include(".chat")
        config.include(".rooms")
        config.include(".websockets")
        config.include(".announce")
        config.include(".video")
        config.add_route("index", "/")
        config.add_route("cpu", "/cpu")
        config.add_static_view("static", "socketio_demo:static")
        for name, source in FROM_NPM.items():
            config.override_asset(f"socketio_demo:static/{name}", f"{modules}/{source}")
        config.scan()
        return config.make_wsgi_app()
