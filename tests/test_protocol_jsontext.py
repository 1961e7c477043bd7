"""JSON: what browsers write is read, what they cannot read is never written, and hostile text costs little."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import PacketError
from pyramid_socketio.protocol import jsontext
from pyramid_socketio.protocol.jsontext import MAX_DEPTH, dumps, loads, plain_dumps, utf8
from tests.timing import MEGABYTE, MS, cpu_seconds


def nested(depth: int, middle: str = "") -> str:
    return "[" * depth + middle + "]" * depth


def test_utf8() -> None:
    assert utf8("é\U0001f600") == "é\U0001f600".encode()
    assert utf8("a\ud83d") == "a\ufffd".encode()


class TestLoads:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "[",
            "]",
            "[]]",
            "{",
            '{"a"}',
            "{1:2}",
            "[1,]",
            "'a'",
            "nul",
            "+1",
            "01",
            ".5",
            "1.",
            "[1 2]",
            "\ufeff[]",
        ],
    )
    def test_what_is_no_json(self, text: str) -> None:
        with pytest.raises(PacketError, match="not JSON"):
            loads(text)

    @pytest.mark.parametrize(
        "text", ["NaN", "[Infinity]", "[-Infinity]", "1e999", "-1e999", "9" * 5000, "[1e" + "9" * 5000 + "]"]
    )
    @pytest.mark.parametrize("before", ["", '["\\ud800",'], ids=["fast", "slow"])
    def test_numbers_that_no_double_holds_t25(self, text: str, before: str) -> None:
        with pytest.raises(PacketError):
            loads(f"{before}{text}{']' if before else ''}")

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("9007199254740993", 9007199254740993),
            ("9223372036854775807", 2**63 - 1),
            ("18446744073709551615", 2**64 - 1),
            ("18446744073709551616", 2.0**64),
            ("-9223372036854775808", -(2**63)),
            ("-9223372036854775809", -(2.0**63)),
            ("9" * 300, 1e300),
            ("1e-400", 0.0),
            ("-0.0", -0.0),
        ],
    )
    def test_numbers_are_the_same_beside_a_lone_surrogate(self, text: str, number: float) -> None:
        for read in (loads(text), loads(f'["\\ud800",{text}]')[1]):
            assert (type(read), repr(read)) == (type(number), repr(number))

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('"\\ud83d"', "\ud83d"),
            ('"x\\uDE00y"', "x\ude00y"),
            ('"\\ud83d\\ude00"', "\U0001f600"),
            ('["\\ud83d",{"\\udead":"\\\\ud800"}]', ["\ud83d", {"\udead": "\\ud800"}]),
            ('["\\ud800",true,null,1.5,"\\n"]', ["\ud800", True, None, 1.5, "\n"]),
        ],
    )
    def test_surrogates(self, text: str, value: Any) -> None:
        assert loads(text) == value

    @pytest.mark.parametrize("text", ['["\\ud800",]', '["\\ud800"', '"\\ud80"', '"\\\\ud800', '["\\ud800",01]'])
    def test_what_is_no_json_beside_a_surrogate(self, text: str) -> None:
        with pytest.raises(PacketError):
            loads(text)

    def test_the_last_of_repeated_keys_counts(self) -> None:
        assert loads('{"a":1,"a":2}') == loads('{"a":"\\ud800","a":2}') == {"a": 2}


class TestDepth:
    @pytest.mark.parametrize(
        "around",
        [
            lambda text: text,
            lambda text: text.replace("[", '{"a":[').replace("]", "]}")[5:-1].replace("[]", "[1]"),
            lambda text: f'["\\ud800",{text[1:-1]}]',
            lambda text: f'["]]]]][[[[[{{{{",{text[1:-1]}]',
            lambda text: f'["\\"]","\\\\",{text[1:-1]}]',
        ],
        ids=["arrays", "objects", "surrogate", "brackets in a text", "quotes in a text"],
    )
    def test_the_limit(self, around: Any) -> None:
        deep = around(nested(MAX_DEPTH))
        if "{" in deep and "{{" not in deep:
            # Twice as many levels: an object around each array.
            loads(around(nested(MAX_DEPTH // 2)))
            with pytest.raises(PacketError, match="deeper"):
                loads(around(nested(MAX_DEPTH // 2 + 1, "1")))
            return
        loads(deep)
        with pytest.raises(PacketError, match="deeper"):
            loads(around(nested(MAX_DEPTH + 1)))

    @pytest.mark.parametrize("depth", [100, 500, 1020, 5000, 100_000])
    @pytest.mark.parametrize("before", ["", '"\\ud800",'])
    def test_deep_json_is_an_error_and_no_recursion(self, depth: int, before: str) -> None:
        with pytest.raises(PacketError):
            loads(f"[{before}{nested(depth)}]")
        with pytest.raises(PacketError):
            loads(f"[{before}" + '{"a":' * depth + "1" + "}" * depth + "]")

    def test_a_deep_value_behind_a_repeated_key(self) -> None:
        with pytest.raises(PacketError):
            loads('{"\\ud800":' + nested(900) + ',"\\ud800":1}')

    def test_wide_json_is_not_deep(self) -> None:
        assert len(loads(f"[{','.join(['[[]]'] * 1000)}]")) == 1000

    @given(st.recursive(st.text('[]{}"\\\ud800x'), st.lists, max_leaves=20), st.integers(MAX_DEPTH - 5, MAX_DEPTH + 5))
    def test_brackets_in_texts_do_not_count(self, value: Any, depth: int) -> None:
        def measure(value: Any) -> int:
            return 1 + max(map(measure, value), default=0) if isinstance(value, list) else 0

        for _ in range(depth - measure(value)):
            value = [value, "["]
        text = json.dumps(value)
        if measure(value) > MAX_DEPTH:
            with pytest.raises(PacketError):
                loads(text)
        else:
            assert loads(text) == value


@given(st.text() | st.text('[]{}",:\\ud80019.eE-+ \n'))
@example('"\ud800"')
@example('["\\ud800')
def test_any_text_is_read_as_javascript_reads_it(text: str) -> None:
    try:
        wanted = json.loads(text, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError):
        wanted = math.nan
    if any(0xD800 <= ord(char) < 0xE000 for char in text) or has(wanted, lambda number: not math.isfinite(number)):
        with pytest.raises(PacketError):
            loads(text)
    elif has(wanted, lambda number: not -(2**63) <= number < 2**64):
        loads(text)
    else:
        assert loads(text) == wanted


def has(value: Any, condition: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(has(item, condition) for item in value)
    return isinstance(value, (int, float)) and bool(condition(value))


@pytest.mark.parametrize("first", ["", '["\\ud800",', '["'])
@pytest.mark.parametrize(
    "filler", ["[", "]", "{", '{"a":', "9", "0.1", '"', "\\", '\\"', " ", "-", "\\ud800", "\u20ac", "1,"]
)
def test_a_megabyte_that_is_no_json_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler))
    assert cpu_seconds(lambda: pytest.raises(PacketError, loads, text)) < 50 * MS


@pytest.mark.parametrize(
    "item", ['"' + "x" * 999_000 + '"', '"' + "[" * 999_000 + '"', "1" * 300, "0." + "1" * 999_000]
)
def test_a_megabyte_of_json_takes_no_time(item: str) -> None:
    text = f"[{','.join([item] * (MEGABYTE // len(item)))}]"
    assert cpu_seconds(lambda: loads(text)) < 50 * MS


@pytest.mark.parametrize("item", ["[]", "{}", "1", '{"a":[1]}', nested(60), '"[]"'])
def test_the_look_at_the_depth_costs_a_few_times_the_reading_at_most(item: str) -> None:
    text = f"[{','.join([item] * (MEGABYTE // 2 // len(item)))}]"
    assert cpu_seconds(lambda: loads(text)) < 5 * cpu_seconds(lambda: orjson.loads(text)) + 10 * MS


class TestDumps:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (["\u00e9\u2028\U0001f600"], '["\u00e9\u2028\U0001f600"]'),
            ([math.nan, math.inf, -math.inf, 1.5], "[null,null,null,1.5]"),
            ({"a": (1, 2)}, '{"a":[1,2]}'),
            (["\ud83d", math.nan, {"b": (math.inf,)}], '["\\ud83d",null,{"b":[null]}]'),
            ({"\ud83d": 1}, '{"\\ud83d":1}'),
            ({2: "a", None: "b", True: "c"}, '{"2":"a","null":"b","true":"c"}'),
            ([2**64, -(2**70)], "[18446744073709551616,-1180591620717411303424]"),
            ("\x1e\x00", '"\\u001e\\u0000"'),
        ],
    )
    def test_values(self, value: Any, text: str) -> None:
        assert dumps(value) == text.encode()

    def test_what_orjson_knows_is_known_beside_a_surrogate(self) -> None:
        @dataclasses.dataclass
        class Point:
            x: float

        day = datetime.date(2020, 1, 2)
        assert dumps([day, Point(math.nan)]) == b'["2020-01-02",{"x":null}]'
        assert dumps([day, Point(math.nan), "\ud800"]) == b'["2020-01-02",{"x":null},"\\ud800"]'

    @pytest.mark.parametrize("extra", ["", "\ud800"])
    def test_the_default(self, extra: str) -> None:
        def default(item: Any) -> Any:
            return [math.nan, extra] if isinstance(item, complex) else complex(1)

        assert json.loads(dumps([object(), extra], default)) == [[None, extra], extra]

    @pytest.mark.parametrize("extra", ["", "\ud800"])
    def test_an_error_of_the_default_comes_out(self, extra: str) -> None:
        def default(item: Any) -> Any:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            dumps([extra, object()], default)
        with pytest.raises(TypeError, match="object is not JSON serializable"):
            dumps([extra, object()])

    def test_again_comes_before_the_second_time(self) -> None:
        seen: list[Any] = []

        def default(item: Any) -> Any:
            seen.append(item)
            return "x"

        dumps([1j, "\ud800", 2j], default, seen.clear)
        assert seen == [1j, 2j]

    def test_what_contains_itself(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(ValueError, match="part of itself"):
            dumps(circle)
        with pytest.raises((TypeError, ValueError)):
            dumps(["\ud800", 1j], lambda item: [item])

    def test_keys_that_no_json_has(self) -> None:
        with pytest.raises(TypeError):
            dumps({(1, 2): 3})
        with pytest.raises(TypeError):
            dumps({b"a": 3})

    def test_plain(self) -> None:
        assert plain_dumps(["a", 1]) == b'["a",1]'
        assert plain_dumps([b"a"]) is None
        assert plain_dumps(["\ud800"]) is None


def test_without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "orjson", None)
    assert loads('["\\ud800",1,2.5,null]') == ["\ud800", 1, 2.5, None]
    for text in ("NaN", "1e999", "[", "9" * 5000, nested(MAX_DEPTH + 1), nested(5000)):
        with pytest.raises(PacketError):
            loads(text)
    assert dumps({"a": [math.nan, "\u00e9", 1j]}, lambda item: 7) == b'{"a":[null,"\\u00e9",7]}'
    assert plain_dumps([1]) is None


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters()),
        lambda children: st.lists(children) | st.dictionaries(st.text(st.characters()), children),
    )
)
@example({"\ud800": ["\udead", 1e300]})
def test_what_was_written_is_read(value: Any) -> None:
    assert loads(dumps(value).decode()) == value
