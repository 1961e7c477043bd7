"""The script tags of a page, from the request and from the three template languages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

from pyramid_socketio.config.scripts import Markup
from pyramid_socketio.settings import Settings

#: What brings the templates of a kind, their suffix, and how they include ours.
INCLUDES = [
    ("pyramid_chameleon", "pt", '<tal:x metal:use-macro="load: pyramid_socketio:templates/socketio_scripts.pt" />'),
    ("pyramid_jinja2", "jinja2", '{% include "pyramid_socketio:templates/socketio_scripts.jinja2" %}'),
    ("pyramid_mako", "mako", '<%include file="pyramid_socketio:templates/socketio_scripts.mako"/>'),
]
#: The same for a call of the method; none of them needs a filter.
CALLS = [
    ("pyramid_chameleon", "pt", "<tal:x>${request.socketio_scripts(compat=True)}</tal:x>"),
    ("pyramid_jinja2", "jinja2", "{{ request.socketio_scripts(compat=True) }}"),
    ("pyramid_mako", "mako", "${request.socketio_scripts(compat=True)}"),
]


class Tags(HTMLParser):
    """The attributes of the script tags; anything else is a failure."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "script"
        self.scripts.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        assert not data.strip()

    @property
    def options(self) -> Any:
        text = self.scripts[0]["data-options"]
        assert text is not None
        return json.loads(text)


def page(request: Request) -> Response:
    return Response(request.socketio_scripts(**request.GET))


def make_app(prefix: str | None = None, script_name: str = "", **settings: Any) -> TestApp:
    config = Configurator(settings={f"socketio.{name}": value for name, value in settings.items()})
    config.include("pyramid_socketio", route_prefix=prefix)
    config.add_route("page", "/page")
    config.add_view(page, route_name="page")
    return TestApp(config.make_wsgi_app(), extra_environ={"SCRIPT_NAME": script_name})


def test_the_tag() -> None:
    options = "{&quot;path&quot;: &quot;/socket.io/&quot;, &quot;resource&quot;: &quot;socket.io&quot;, "
    options += "&quot;transports&quot;: [&quot;websocket&quot;, &quot;polling&quot;]}"
    expected = f'<script id="socketio" src="/socket.io/socket.io.js" data-options="{options}"></script>'
    assert make_app(transports="websocket polling").get("/page").text == expected


def test_options_are_the_settings() -> None:
    assert Tags(make_app().get("/page").text).options["transports"] == list(Settings().transports)


def test_todays_transports_are_first_in_their_order() -> None:
    app = make_app(transports="xhr-polling websocket htmlfile polling")
    assert Tags(app.get("/page").text).options["transports"] == ["websocket", "polling", "xhr-polling", "htmlfile"]


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("script_name", ["", "/mounted"])
@pytest.mark.parametrize("prefix", [None, "real/time"])
@pytest.mark.parametrize("resource", ["socket.io", "a/b"])
def test_urls_lead_to_the_files(
    tmp_path: Path, resource: str, prefix: str | None, script_name: str, compat: bool
) -> None:
    (tmp_path / "socket.io.js").write_text("client")
    app = make_app(prefix, script_name, resource=resource, client=str(tmp_path))
    tags = Tags(app.get("/page", {"compat": "1"} if compat else {}).text)
    base = "/".join(("", *filter(None, (script_name.strip("/"), prefix, resource)), ""))
    assert [tag["src"] for tag in tags.scripts] == [f"{base}socket.io.js", f"{base}compat.js"][: 1 + compat]
    assert tags.options["path"] == base
    assert tags.options["resource"] == base.strip("/")
    for tag, text in zip(tags.scripts, ("client", "compat.js"), strict=False):
        source = tag["src"]
        assert source is not None
        # The server in front takes the mount point away.
        assert text in app.get(source.removeprefix(script_name)).text
    assert app.get(base.removeprefix(script_name), status=501)  # the resource: this is no server of ours


def test_flash_brings_the_script_that_tells_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "WebSocketMain.swf").write_bytes(b"FWS")
    app = make_app(swf=str(tmp_path / "WebSocketMain.swf"))
    tags = Tags(app.get("/page").text)
    assert [tag["src"] for tag in tags.scripts] == ["/socket.io/socket.io.js", "/socket.io/compat.js"]
    assert app.get(tags.scripts[1]["src"]).text.startswith('WEB_SOCKET_SWF_LOCATION = "/socket.io/WebSocketMain.swf";')


def test_nothing_breaks_out_of_the_tag() -> None:
    bad = "/\"'><script>&amp;"
    html = make_app(script_name=bad).get("/page").text
    (tag,) = Tags(html).scripts
    assert set(tag) == {"id", "src", "data-options"}
    assert html.count("<") == 2
    assert tag["src"] == f"{bad}/socket.io/socket.io.js"
    assert Tags(html).options["path"] == f"{bad}/socket.io/"


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of an application, called ``pages``, for its templates."""
    directory = tmp_path / "pages"
    directory.mkdir()
    (directory / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield directory
    sys.modules.pop("pages", None)


def rendered(pages: Path, renderers: str, suffix: str, source: str) -> str:
    """A page of an application below a prefix, from a template."""
    (pages / f"page.{suffix}").write_text(source)
    config = Configurator()
    config.include(renderers)
    config.include("pyramid_socketio", route_prefix="real")
    config.add_route("page", "/page")
    config.add_view(lambda request: {}, route_name="page", renderer=f"pages:page.{suffix}")
    return TestApp(config.make_wsgi_app()).get("/page").text.strip()


@pytest.mark.parametrize(("renderers", "suffix", "source"), INCLUDES)
def test_template_to_include(pages: Path, renderers: str, suffix: str, source: str) -> None:
    assert rendered(pages, renderers, suffix, source) == make_app("real").get("/page").text


@pytest.mark.parametrize(("renderers", "suffix", "source"), CALLS)
def test_call_in_a_template(pages: Path, renderers: str, suffix: str, source: str) -> None:
    assert rendered(pages, renderers, suffix, source) == make_app("real").get("/page?compat=1").text


def test_markup_is_plain_text_for_those_who_ask() -> None:
    assert type(Markup("<b>").__html__()) is str
