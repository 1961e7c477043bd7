"""A small, complete Pyramid application on pyramid_socketio. Start reading at :mod:`socketio_demo.chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.router import Router

__all__ = ["main"]


def main(global_config: dict[str, str], **settings: Any) -> Router:
    """Make the WSGI application; the settings come from ``[app:main]`` of the ini file.

    Raises:
        ConfigurationError: what npm brings is not there yet.
    """
    charts = Path(settings["demo.node_modules"], "uplot", "dist")
    if not charts.is_dir():
        raise ConfigurationError(f"{charts} is missing: run `npm install` beside package.json, or scripts/demo")

    with Configurator(settings=settings) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_socketio")
        config.include(".chat")
        config.include(".video")
        config.add_route("index", "/")
        config.add_route("cpu", "/cpu")
        config.add_static_view("static", "socketio_demo:static")
        # One directory of node_modules, and nothing else of it, appears below the demo's own static files.
        config.override_asset("socketio_demo:static/uplot/", f"{charts}/")
        config.scan()
        return config.make_wsgi_app()
