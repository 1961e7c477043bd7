"""The pages that need no more than a template."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.view import notfound_view_config, view_config


@view_config(route_name="index", renderer="templates/index.jinja2")
@view_config(route_name="rooms", renderer="templates/rooms.jinja2")
@view_config(route_name="cpu", renderer="templates/cpu.jinja2")
def page(request: Request) -> dict[str, Any]:
    return {}


@notfound_view_config(renderer="templates/notfound.jinja2")
def not_found(request: Request) -> dict[str, Any]:
    request.response.status = 404
    return {}
