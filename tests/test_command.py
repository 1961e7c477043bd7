"""The command line, and the sentences for what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyramid.scripts.common import get_config_loader
from pyramid.scripts.pserve import PServeCommand

from pyramid_socketio.errors import BindError
from pyramid_socketio.server.command import explain, parse_arguments


def test_options_of_pserve_are_taken() -> None:
    argv = ["a.ini#x", "k=v", "-n", "app", "--server-name", "s", "-b", "--reload", "--reload-interval", "2", "-v"]
    ours = vars(parse_arguments("socketio-serve", argv))
    theirs = vars(PServeCommand(["pserve", *argv]).args)
    for name in ("config_uri", "config_vars", "app_name", "server_name", "browser", "reload", "verbose"):
        assert ours[name] == theirs[name]
    assert ours["variables"] == {"k": "v"}
    assert parse_arguments("socketio-serve", ["a.ini", "-q", "k=v"]).verbose == 0
    assert parse_arguments("socketio-serve", ["a.ini"]).verbose == 1


@pytest.mark.parametrize("argv", [[], ["a.ini", "novalue"], ["a.ini", "--nonsense"]])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments("socketio-serve", argv)
    assert caught.value.code == 2
    assert "usage: socketio-serve" in capsys.readouterr().err


def test_only_the_file_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("socketio-serve", [])
    assert capsys.readouterr().err.endswith("the following arguments are required: file.ini[#name]\n")


def test_the_server_of_pserve_is_taken_and_ignored() -> None:
    arguments = parse_arguments("socketio-serve", ["a.ini", "-s", "waitress"])
    assert (arguments.server, arguments.server_name) == ("waitress", None)


def test_the_prefix_of_pastedeploy_goes() -> None:
    assert parse_arguments("socketio-serve", ["config:a.ini#x"]).config_uri == "a.ini#x"


def test_internal_options_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("socketio-serve", ["--help"])
    text = capsys.readouterr().out
    assert "--browser" in text
    assert not any(option in text for option in ("--watch", "--fd", "--monitor"))


# Errors


@pytest.fixture
def ini(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "development.ini"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An importable module ``shop`` with right and wrong application factories."""
    (tmp_path / "shop.py").write_text(
        "from pyramid.config import Configurator\n"
        "from pyramid.exceptions import ConfigurationError\n"
        "def main(global_conf, **settings):\n"
        "    return Configurator(settings=settings).make_wsgi_app()\n"
        "def misconfigured(global_conf, **settings):\n"
        "    raise ConfigurationError('socketio.ping_interval = x: no number')\n"
        "def late(global_conf, **settings):\n"
        "    config = Configurator()\n"
        "    config.action('x', misconfigured, ({},))\n"
        "    return config.make_wsgi_app()\n"
        "def broken(global_conf, **settings):\n"
        "    import no_such_module\n"
    )
    (tmp_path / "typo.py").write_text("def main(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("shop", "typo"):
        sys.modules.pop(name, None)


def load_error(uri: str, name: str | None = None) -> BaseException:
    with pytest.raises(Exception) as caught:
        get_config_loader(uri).get_wsgi_app(name, {})
    # Without this function, which is none of the frames that loading has.
    return caught.value.with_traceback(caught.tb.tb_next)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("egg:no_such_distribution", "cannot be imported"),
        ("call:no_such_module:main", "cannot be imported"),
        ("call:shop:missing", "cannot be imported"),
        ("egg:pyramid#missing", "Entry point 'missing'"),
        ("call:shop:misconfigured", "socketio.ping_interval"),
        ("call:shop:late", "socketio.ping_interval"),
        ("call:shop:broken", None),
        ("call:typo:main", None),
    ],
)
def test_what_cannot_be_loaded_is_explained(ini: Callable[[str], str], use: str, words: str | None) -> None:
    uri = ini(f"[app:main]\nuse = {use}\n")
    sentence = explain(load_error(uri), uri)
    if words is None:
        assert sentence is None
    else:
        assert sentence is not None and words in sentence and "\n" not in sentence


def test_what_cannot_be_read_is_explained(ini: Callable[[str], str]) -> None:
    uri = ini("no section\n")
    assert "is not a correct .ini file" in str(explain(load_error(uri), uri))
    uri = ini("[app:main]\nuse = egg:pyramid\nsocketio.message_log_format = %(TIME)s\n")
    sentence = str(explain(load_error(uri), uri))
    assert "is not a correct .ini file" in sentence
    assert sentence.endswith("; a percent sign is written %%, and TIME=VALUE on the command line gives a variable")
    uri = ini("[app:main]\nuse = egg:pyramid\nsocketio.message_log_format = 100%\n")
    assert str(explain(load_error(uri), uri)).endswith("; a percent sign is written %%")
    uri = ini("[app:main]\nuse = egg:pyramid\n")
    assert "--app-name" in str(explain(load_error(uri, "other"), uri))
    missing = str(Path(uri).with_name("missing.ini"))
    assert "missing.ini: no such file" in str(explain(load_error(missing), missing))
    sentence = str(explain(BindError("cannot listen on a:1: x; give another port"), uri))
    assert sentence.endswith("; give another port, in the server section or with port=NUMBER")
    assert "x.yaml" in str(explain(load_error("x.yaml"), "x.yaml"))
