"""What old clients ask for, read from the end of a path."""

from __future__ import annotations

import pytest

from pyramid_socketio.protocol.paths import TRANSPORTS, recognise
from pyramid_socketio.protocol.revisions import V0, V1
from tests.timing import cpu_seconds

SID = "kmk4Rbx1L4jXVsg4TSR_-Jc2Zm8"
MS = "1290000000000"

#: Path behind the resource, and revision, transport, sid and callback.
REQUESTS = [
    # Socket.IO 0.7 to 0.9, section 1.
    ("/1/", (V1, "", "", "")),
    ("/1", (V1, "", "", "")),
    ("/2/", (None, "", "", "")),
    ("/0", (None, "", "", "")),
    # Section 3.
    *[(f"/1/{name}/{SID}", (V1, name, SID, "")) for name in TRANSPORTS],
    (f"/1/xhr-polling/{SID}/", (V1, "xhr-polling", SID, "")),
    ("/1/xhr-polling/1290000000000", (V1, "xhr-polling", MS, "")),
    (f"/2/xhr-polling/{SID}", (None, "xhr-polling", SID, "")),
    # Section 6.2.
    (f"/1//{SID}/", (V1, "", SID, "")),
    (f"/1//{SID}", (V1, "", SID, "")),
    (f"/1/{SID}", (V1, "", SID, "")),
    (f"/1/{SID}/", (V1, "", SID, "")),
    ("/1/xhr-polling/", (V1, "", "xhr-polling", "")),
    # Socket.IO 0.5 and 0.6, section 1.
    *[(f"/{name}", (V0, name, "", "")) for name in TRANSPORTS],
    ("/xhr-multipart/", (V0, "xhr-multipart", "", "")),
    (f"/xhr-polling//{MS}", (V0, "xhr-polling", "", "")),
    (f"/htmlfile//{MS}", (V0, "htmlfile", "", "")),
    (f"/jsonp-polling//{MS}/0", (V0, "jsonp-polling", "", "0")),
    (f"/jsonp-polling//{MS}/abc", (V0, "jsonp-polling", "", "abc")),
    # Section 11, pitfall 1: a proxy has made one slash of two.
    (f"/xhr-polling/{MS}", (V0, "xhr-polling", "", "")),
    (f"/jsonp-polling/{MS}/3", (V0, "jsonp-polling", "", "3")),
    # Section 4.
    (f"/xhr-polling/{SID}/{MS}", (V0, "xhr-polling", SID, "")),
    (f"/xhr-polling/{SID}/send", (V0, "xhr-polling", SID, "")),
    (f"/xhr-polling/{SID}", (V0, "xhr-polling", SID, "")),
    (f"/websocket/{SID}", (V0, "websocket", SID, "")),
    ("/xhr-polling/999999/1", (V0, "xhr-polling", "999999", "")),
    (f"/jsonp-polling/{SID}/{MS}/12", (V0, "jsonp-polling", SID, "12")),
]

NOTHING = [
    "/",
    "",
    "/socket.io.js",
    "/11/",
    "/x1/",
    f"/1/nope/{SID}",
    f"/1/xhr-polling/{SID}/more",
    "/nope//1",
    "/xhr-pollingx",
    "/xhr-polling/a/b/c/d",
    f"/jsonp-polling//{MS}/0];alert(1)//",
    "/\u0661/",
]


@pytest.mark.parametrize("resource", ["/socket.io", "/foo", "/app/under/a/prefix/socket.io", "/1/socket.io"])
@pytest.mark.parametrize("path, expected", REQUESTS)
def test_a_request(resource: str, path: str, expected: tuple[object, str, str, str]) -> None:
    assert recognise(resource + path) == expected


@pytest.mark.parametrize("path", NOTHING)
def test_nothing_of_these_clients(path: str) -> None:
    assert recognise("/socket.io" + path) is None


@pytest.mark.parametrize("piece", ["/1", "/1/", "/websocket", "/websocket/", "//", "/1/websocket/a", "/1//", "a", "1"])
def test_long_paths_take_linear_time(piece: str) -> None:
    def read(size: int) -> float:
        path = piece * (size // len(piece)) + "\n"
        return cpu_seconds(lambda: recognise(path))

    assert read(400_000) < 40 * read(20_000) + 0.05
