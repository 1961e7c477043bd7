"""Repairs of old clients, in front of the first script of a session; what they mend is in ``test_goodbyes.py``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.functional.classic import handshake
from tests.functional.classic_app import application, for_one_test
from tests.functional.raw import Connection
from tests.functional.serving import ThreadServer


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


#: How a page's scripts are asked for by browsers of today, and by old ones.
PAGES = {
    "Sec-Fetch-Dest": {"Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "same-origin"},
    "Referer": {"Referer": "http://127.0.0.1/page"},
}


#: Revision -> where its first script comes from, and how that begins.
FIRST: dict[str, tuple[Callable[[int], str], str]] = {
    "2": (lambda port: "/socket.io/?EIO=3&transport=polling&j=0", r"___eio\[0\]\("),
    "0.9": (lambda port: f"/socket.io/1/jsonp-polling/{handshake(port).sid}?t=1&i=0", r"io\.j\[0\]\("),
    "0.6": (lambda port: "/socket.io/jsonp-polling//1290000000000/0", r"io\.JSONP\[0\]\._\("),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("revision", FIRST)
def test_the_first_script_for_a_page_begins_with_repairs(server: ThreadServer, revision: str, page: str) -> None:
    path, begin = FIRST[revision]
    with Connection(server.port) as gets:
        answer = gets.request("GET", path(server.port), PAGES[page])
        found = re.search(begin, answer.text)
        assert found is not None
        repairs = answer.text[: found.start()]
        assert repairs.startswith('try {\n(function (global) {\n"use strict";\n')
        assert repairs.endswith("})(window);\n} catch (error) {}\n")
        assert answer.headers["content-type"] == "text/javascript; charset=UTF-8"


@pytest.mark.peer
@pytest.mark.parametrize("io", ["undefined", "null", "{}", "{Manager: 1}", "Object.freeze({})", "{Transport: {}}"])
def test_the_packets_arrive_whatever_a_page_calls_io(server: ThreadServer, io: str) -> None:
    with Connection(server.port) as gets:
        answer = gets.request("GET", FIRST["2"][0](server.port), PAGES["Referer"]).text
    script = f"const window = {{io: {io}}}, ___eio = [console.log];\n{answer}"
    printed = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout
    assert '"pingInterval"' in printed


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Dest": "empty", "Referer": "http://127.0.0.1/page"}])
@pytest.mark.parametrize("revision", FIRST)
def test_who_asks_for_no_script_element_gets_none(server: ThreadServer, revision: str, headers: dict[str, str]) -> None:
    path, begin = FIRST[revision]
    with Connection(server.port) as gets:
        assert re.match(begin, gets.request("GET", path(server.port), headers).text)


@pytest.mark.parametrize("page", PAGES)
def test_clients_of_today_get_none(server: ThreadServer, page: str) -> None:
    with Connection(server.port) as gets:
        answer = gets.request("GET", "/socket.io/?EIO=4&transport=polling&j=0", PAGES[page])
        assert answer.text.startswith("___eio[0](")


def test_only_the_first_script_has_them(server: ThreadServer) -> None:
    headers = PAGES["Referer"]
    path = f"/socket.io/1/jsonp-polling/{handshake(server.port).sid}?t=1&i="
    with Connection(server.port) as gets, Connection(server.port) as posts:
        assert gets.request("GET", f"{path}0", headers).text.endswith('io.j[0]("1::");')
        gets.ask("GET", f"{path}1", headers)
        assert gets.is_silent(0.05)
        posts.request("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, b"d=%223%3A%3A%3Ax%22")
        assert gets.response().text == 'io.j[1]("3:::re:x");'
