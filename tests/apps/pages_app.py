"""Pages of the predecessors' documents: ``/page/NAME`` renders a template from where the settings have them.

Their Socket.IO clients meet the handlers of ``events_app``, their WebSockets an echo.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from tests.apps.websockets_app import echo


def page(request: Request) -> Response:
    return render_to_response(request.matchdict["name"], {"number": 42}, request=request)


def main(global_config: dict[str, str], **settings: Any) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.include("pyramid_mako")
        config.scan("tests.apps.events_app")
        config.add_route("page", "/page/{name}")
        config.add_view(page, route_name="page")
        config.add_route("urlname", "/echo/")
        config.add_view(echo, route_name="urlname")
    return config.make_wsgi_app()
