"""What the server section of an .ini file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_socketio.server.section import parse_section, read_section


@pytest.mark.parametrize(
    ("values", "overrides", "addresses"),
    [
        ({}, {}, [("127.0.0.1", 6543)]),
        ({"use": "egg:waitress#main", "host": "0.0.0.0", "port": "80"}, {}, [("0.0.0.0", 80)]),
        ({"host": "*", "port": "80"}, {}, [("0.0.0.0", 80)]),
        ({"listen": "127.0.0.1:80 [::1]:81"}, {}, [("127.0.0.1", 80), ("::1", 81)]),
        ({"host": "a", "port": "80"}, {"port": "81"}, [("a", 81)]),
        ({"host": "a", "port": "80"}, {"host": "b"}, [("b", 80)]),
        ({"listen": "a:80 b:80"}, {"port": "81"}, [("a", 81)]),
    ],
)
def test_addresses(values: dict[str, str], overrides: dict[str, str], addresses: list[tuple[str, int]]) -> None:
    assert parse_section(values, overrides).addresses == tuple(addresses)


def test_options_are_converted() -> None:
    section = parse_section(
        {
            "resource": "socket.io",
            "transports": "websocket, xhr-polling",
            "heartbeat_interval": "5",
            "policy_server": "true",
            "policy_listener_port": "10843",
            "watch_files": "a b.txt\n*.yaml",
        }
    )
    assert section.options == {
        "resource": "socket.io",
        "transports": ["websocket", "xhr-polling"],
        "heartbeat_interval": 5.0,
        "policy_server": True,
        "policy_listener_port": 10843,
    }
    assert section.watch_files == ("a b.txt", "*.yaml")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prot": "1"}, "'prot'"),
        ({"port": "http"}, "^port = http in the server section: the port must be a whole number"),
        ({"port": "65536"}, "port = 65536"),
        ({"listen": "a:1 b:http"}, "^listen = b:http in the server section: the port must be"),
        ({"listen": "8080"}, "listen = 8080"),
        ({"listen": "a:1", "port": "2"}, "listen beside"),
        ({"policy_listener_port": "x"}, "policy_listener_port = x"),
    ],
)
def test_bad_values(values: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_section(values)


def write(directory: Path, text: str) -> str:
    """An .ini file; its name."""
    path = directory / "development.ini"
    path.write_text(text)
    return str(path)


def test_command_line_before_environment_before_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = write(tmp_path, "[server:main]\nhost = a\nport = 1\n[pserve]\nwatch_files = %(here)s/x.yaml\n")
    section = read_section(uri, None, {})
    assert section.addresses == (("a", 1),)
    assert section.open_url is None
    assert section.watch_files == (str(Path(uri).with_name("x.yaml")),)
    monkeypatch.setenv("SOCKETIO_PORT", "2")
    assert read_section(uri, None, {}).addresses == (("a", 2),)
    monkeypatch.setenv("SOCKETIO_HOST", "b")
    assert read_section(uri, None, {"port": "3"}).addresses == (("b", 3),)


def test_a_bad_port_is_named_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = write(tmp_path, "[server:main]\nport = 1\n")
    monkeypatch.setenv("SOCKETIO_PORT", "abc")
    with pytest.raises(ConfigurationError, match="^SOCKETIO_PORT=abc in the environment: the port must be"):
        read_section(uri, None, {})
    with pytest.raises(ConfigurationError, match="^port=70000 on the command line: the port must be"):
        read_section(uri, None, {"port": "70000"})
    assert read_section(uri, None, {"port": "2"}).addresses == (("127.0.0.1", 2),), "the environment does not count"


@pytest.mark.parametrize("key", ["host", "port"])
def test_nothing_on_the_command_line_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    uri = write(tmp_path, "[server:main]\nhost = a\nport = 1\n")
    for value in ("", " "):
        with pytest.raises(ConfigurationError, match=f"^{key}={value} on the command line: .*, or leave {key}= out$"):
            read_section(uri, None, {key: value})
    # In the environment it is how a variable is taken back.
    monkeypatch.setenv(f"SOCKETIO_{key.upper()}", "")
    assert read_section(uri, None, {}).addresses == (("a", 1),)


def test_what_pserve_opens_is_opened(tmp_path: Path) -> None:
    uri = write(tmp_path, "[server:main]\n[pserve]\nopen_url = https://%(name)s.example/\n")
    assert read_section(uri, None, {"name": "shop"}).open_url == "https://shop.example/"


def test_named_section_and_variables(tmp_path: Path) -> None:
    uri = write(tmp_path, "[server:main]\n[server:other]\nport = %(http_port)s\n")
    assert read_section(f"{uri}#any", "other", {"http_port": "7"}).addresses == (("127.0.0.1", 7),)
    with pytest.raises(ConfigurationError, match=r"\[server:missing\]"):
        read_section(uri, "missing", {})
