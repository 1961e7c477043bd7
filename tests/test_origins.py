"""The Origin check and CORS: rows T01-T03, V16-V19 of the threat list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_socketio.errors import BadRequest, Forbidden
from pyramid_socketio.origins import check_origin, cors_headers, preflight_headers
from pyramid_socketio.settings import Settings


def check(origin: str | None, host: str = "me.example", scheme: str = "http", **values: Any) -> bool:
    return check_origin(Settings(**values), origin, scheme, host)


class TestSameOrigin:
    @pytest.mark.parametrize(
        ("scheme", "host", "origin"),
        [
            ("http", "me.example", "http://me.example"),
            ("http", "me.example", "HTTP://ME.EXAMPLE"),
            ("http", "ME.example:80", "http://me.example"),
            ("https", "me.example", "https://me.example:443"),
            ("http", "127.0.0.1:6543", "http://127.0.0.1:6543"),
            ("http", "[::1]:6543", "http://[::1]:6543"),
            ("https", "[::1]", "https://[::1]:443"),
        ],
    )
    def test_the_servers_own_pages_may(self, scheme: str, host: str, origin: str) -> None:
        assert check(origin, host, scheme) is False

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "https://me.example",
            "http://me.example:8080",
            "http://sub.me.example",
            "http://me.example.evil.com",
            "http://evilme.example",
            "http://me.example@evil.com",
            "http://me.example/",
            "http://me.example/path",
            "http://me.example:",
            "http://me.example:080",
            "me.example",
            "null",
            "file://",
            "http://",
            "http://[::1",
            "javascript://me.example",
            "*",
        ],
    )
    def test_all_others_may_not_t01(self, origin: str) -> None:
        with pytest.raises(Forbidden, match="socketio.allowed_origins"):
            check(origin)

    @pytest.mark.parametrize("host", ["", "null", "me.example:x", "a b"])
    def test_a_strange_host_is_nobodys_own(self, host: str) -> None:
        with pytest.raises(Forbidden):
            check("null", host)


class TestAllowed:
    GOOD = "https://good.example"

    @pytest.mark.parametrize("origin", ["https://good.example", "HTTPS://GOOD.EXAMPLE", "https://good.example:443"])
    def test_v18_accepted(self, origin: str) -> None:
        assert check(origin, allowed_origins=self.GOOD) is True
        assert check(origin, allowed_origins=self.GOOD + ":443") is True

    @pytest.mark.parametrize(
        "origin",
        [
            "https://good.example.evil.com",
            "https://evilgood.example",
            "https://good.example@evil.com",
            "http://good.example",
            "https://good.example:444",
            "https://sub.good.example",
            "https://good.example/",
            "null",
        ],
    )
    def test_v18_refused(self, origin: str) -> None:
        with pytest.raises(Forbidden):
            check(origin, allowed_origins=self.GOOD)

    def test_other_schemes_are_compared_as_they_are(self) -> None:
        assert check("capacitor://localhost", allowed_origins="capacitor://localhost") is True
        with pytest.raises(Forbidden):
            check("capacitor://localhost:80", allowed_origins="capacitor://localhost")

    def test_null_only_where_it_is_listed_t02(self) -> None:
        assert check("null", allowed_origins="null") is True
        with pytest.raises(Forbidden):
            check("null", allowed_origins=self.GOOD)

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "whatever"])
    def test_everybody(self, origin: str) -> None:
        assert check(origin, allowed_origins="*") is True


def test_no_origin_t02() -> None:
    assert check(None) is False
    with pytest.raises(Forbidden, match="socketio.allow_no_origin"):
        check(None, allow_no_origin=False)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        " http://me.example",
        "http://me.example\r\nX: y",
        "http://me.example\n",
        "http://m\xe9.example",
        "http://me.example\x7f",
        "http://a.example, http://me.example",
        "http://" + "a" * 600,
    ],
    ids=["empty", "blank", "CRLF", "newline", "latin", "DEL", "two", "long"],
)
@pytest.mark.parametrize("allowed", ["", "*"])
def test_illegal_characters_t02(origin: str, allowed: str) -> None:
    with pytest.raises(BadRequest):
        check(origin, allowed_origins=allowed)


@given(st.text(), st.text())
def test_any_origin_and_host_is_judged(origin: str, host: str) -> None:
    try:
        check_origin(Settings(), origin, "http", host)
    except (BadRequest, Forbidden):
        return
    assert origin.lower().removesuffix(":80") == f"http://{host}".lower().removesuffix(":80")


class TestCors:
    def test_none_without_allowed_origins(self) -> None:
        assert cors_headers(Settings(), "http://me.example", False) == []

    def test_the_origin_that_matched(self) -> None:
        settings = Settings(allowed_origins="https://a.example")
        assert cors_headers(settings, "https://a.example", True) == [
            ("Access-Control-Allow-Origin", "https://a.example"),
            ("Vary", "Origin"),
        ]

    def test_with_credentials(self) -> None:
        settings = Settings(allowed_origins="https://a.example", cors_credentials=True)
        assert cors_headers(settings, "https://a.example", True) == [
            ("Access-Control-Allow-Origin", "https://a.example"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]

    @pytest.mark.parametrize("origin", [None, "http://me.example"])
    def test_caches_are_told_in_any_case(self, origin: str | None) -> None:
        assert cors_headers(Settings(allowed_origins="*"), origin, False) == [("Vary", "Origin")]


class TestPreflight:
    SETTINGS = Settings(allowed_origins="https://a.example")
    VARY = ("Vary", "Origin, Access-Control-Request-Headers")

    def answer(self, wanted: str | None) -> list[tuple[str, str]]:
        headers = {"origin": "https://a.example"}
        if wanted is not None:
            headers["access-control-request-headers"] = wanted
        return preflight_headers(self.SETTINGS, headers, True)

    def test_the_reference_s_answer(self) -> None:
        assert self.answer("content-type, x_custom") == [
            ("Access-Control-Allow-Origin", "https://a.example"),
            ("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
            ("Access-Control-Allow-Headers", "content-type, x_custom"),
            self.VARY,
        ]

    @pytest.mark.parametrize(
        "wanted", [None, "", "a b", "a,,b", "a:b", "a\r\nb", "\xe9", "a" * 1001, "a," * 499 + "a" + ",<script>"]
    )
    def test_only_names_of_headers_are_repeated(self, wanted: str | None) -> None:
        assert "Access-Control-Allow-Headers" not in dict(self.answer(wanted))
        assert self.answer(wanted)[-1] == self.VARY
