"""The forms of old clients, compared with the standard library's way to read them."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, quote_plus, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import PacketError
from pyramid_socketio.protocol.forms import form_field


@given(st.text())
@example("a=b&c%3D+ \r\n")
def test_what_was_written_is_read(value: str) -> None:
    assert form_field(b"data=" + quote_plus(value).encode(), "data") == value


#: Raw bytes, escapes in either case, and what looks like the escapes of other encodings.
PIECES = st.one_of(
    st.binary(max_size=4).map(lambda data: data.replace(b"%", b"").replace(b"&", b"")),
    st.binary(max_size=4).map(lambda data: quote_from_bytes(data, safe="").encode()),
    st.binary(max_size=4).map(lambda data: quote_from_bytes(data, safe="").lower().encode()),
    st.sampled_from([b"=", b"==", b"=41", b"=\n", b"=\r\n", b" \n", b"_", b"\t", b".", b"\0", b"+"]),
)


@given(st.lists(PIECES).map(b"".join))
def test_the_same_as_the_standard_library(value: bytes) -> None:
    try:
        expected = unquote_to_bytes(value.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        with pytest.raises(PacketError, match="not UTF-8"):
            form_field(b"d=" + value, "d")
    else:
        assert form_field(b"d=" + value, "d") == expected


@pytest.mark.parametrize("body", [b"", b"data", b"other=a", b"data=a&b=c", b"data=%", b"data=%4", b"data=%4g"])
def test_what_is_no_such_form(body: bytes) -> None:
    with pytest.raises(PacketError):
        form_field(body, "data")
