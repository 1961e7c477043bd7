"""The demo's rooms, and announcements to everybody, in Chromium with several windows."""

from __future__ import annotations

import pytest
from socketio_demo.chat import OLD_CLIENTS

from tests.browser.conftest import LONG, Browser, Demo, Window, join

pytestmark = pytest.mark.browser


def come_in(browser: Browser, demo: Demo, name: str) -> Window:
    """A window whose reader has a name, and is in no room yet."""
    window = browser.open(f"{demo.url}/rooms")
    window.wait(lambda: window["name"].is_displayed(), LONG)
    window.type("name", name)
    # Without polling, the server learns at once that the window was closed, and its name is free again.
    window.wait(lambda: window["room"].is_enabled() and window["status"].text == "websocket")
    return window


def enter(window: Window, room: str) -> None:
    """Create a room, or enter it."""
    window.type("room", room)
    window.wait(lambda: window["title"].text == f"#{room}")


def show(window: Window, room: str) -> None:
    """Show a room, or enter it."""
    window.run(f"document.querySelector('#all [data-room=\"{room}\"]').click()")
    window.wait(lambda: window["title"].text == f"#{room}")


def listed(window: Window) -> list[str]:
    """The rooms that the page lists, each with what stands behind its name."""
    return window.texts("#all button")


def seen(window: Window, selector: str) -> list[str]:
    """What is to be seen of the room that the window shows."""
    return window.texts(f"#talks .messages:not([hidden]) {selector}")


def people(window: Window) -> list[str]:
    return window.texts("#people span:last-child")


def test_rooms_are_made_entered_and_left(browser: Browser, demo: Demo) -> None:
    ada, grace = come_in(browser, demo, "Ada"), come_in(browser, demo, "Grace")
    assert listed(ada) == listed(grace) == []
    assert ada["title"].text == "No room yet"
    assert not ada["text"].is_enabled()

    enter(ada, "tea")
    grace.wait(lambda: listed(grace) == ["#teaEnter1"])
    assert listed(ada) == ["#tea1"]
    assert seen(ada, ".announcement") == ["You made this room"]

    show(grace, "tea")
    ada.wait(lambda: seen(ada, ".announcement")[1:] == ["Grace joined"])
    for window, me in ((ada, "Ada"), (grace, "Grace")):
        window.wait(lambda w=window: listed(w) == ["#tea2"])
        assert people(window) == ["Ada", "Grace"]
        assert window.texts("#people .me span:last-child") == [me]
    assert seen(grace, ".announcement") == ["You joined"]

    grace.type("text", "milk, <b>no</b> sugar & 日本")
    for window in (ada, grace):
        window.wait(lambda w=window: seen(w, ".text") == ["milk, <b>no</b> sugar & 日本"])
        assert seen(window, ".text b") == []  # text stays text
    assert seen(ada, ".mine .text") == []
    assert seen(grace, ".mine .text") == ["milk, <b>no</b> sugar & 日本"]

    grace["leave"].click()
    grace.wait(lambda: grace["title"].text == "No room yet")
    grace.wait(lambda: listed(grace) == ["#teaEnter1"])
    ada.wait(lambda: seen(ada, ".announcement")[-1] == "Grace left")
    assert people(ada) == ["Ada"]

    ada.close()  # the last one: the room is gone
    grace.wait(lambda: listed(grace) == [])


def test_two_rooms_at_once(browser: Browser, demo: Demo) -> None:
    ada, grace = come_in(browser, demo, "Ada"), come_in(browser, demo, "Grace")
    for room in ("tea", "coffee"):
        enter(ada, room)
        enter(grace, room)
    show(grace, "tea")
    ada.type("text", "beans")
    grace.wait(lambda: listed(grace) == ["#coffee1 new2", "#tea2"])
    grace.type("text", "leaves")
    grace.wait(lambda: seen(grace, ".text") == ["leaves"])
    show(grace, "coffee")
    assert seen(grace, ".text") == ["beans"]
    assert listed(grace) == ["#coffee2", "#tea2"]

    # Who has left a room hears no more of it, and goes on in the other one.
    grace["leave"].click()
    grace.wait(lambda: grace["title"].text == "#tea")
    ada.wait(lambda: listed(ada) == ["#coffee1", "#tea1 new2"])
    ada.type("text", "only for me")
    ada.wait(lambda: seen(ada, ".text") == ["beans", "only for me"])
    show(ada, "tea")
    ada.type("text", "for both")
    grace.wait(lambda: seen(grace, ".text") == ["leaves", "for both"])
    assert "only for me" not in grace.texts(".text")
    assert listed(grace) == ["#coffeeEnter1", "#tea2"]


def test_what_is_refused(browser: Browser, demo: Demo) -> None:
    ada = come_in(browser, demo, "Ada")
    enter(ada, "tea")
    other = browser.open(f"{demo.url}/rooms")
    other.wait(lambda: other["name"].is_displayed(), LONG)
    other.type("name", "ADA")
    other.wait(lambda: other["refused"].text == "Somebody here is called ADA already. Please choose another name.")
    assert other["welcome"].is_displayed()
    other["name"].clear()
    other.type("name", "<i>Eve</i>")
    other.wait(lambda: other["room"].is_enabled() and not other["welcome"].is_displayed())

    other.type("room", "two words")
    other.wait(lambda: other["problem"].text == "A room's name is 1 to 24 letters, digits, - and _, without blanks.")
    assert other["title"].text == "No room yet"
    other["room"].clear()
    enter(other, "tea")
    assert not other["problem"].is_displayed()
    assert people(ada) == people(other) == ["Ada", "<i>Eve</i>"]
    assert ada.texts("#people i") == []


def test_the_rooms_survive_a_restart(browser: Browser, reloading_demo: Demo) -> None:
    ada, grace = come_in(browser, reloading_demo, "Ada"), come_in(browser, reloading_demo, "Grace")
    for room in ("tea", "coffee"):
        enter(ada, room)
        enter(grace, room)
    ada.type("text", "before")
    grace.wait(lambda: seen(grace, ".text") == ["before"])
    reloading_demo.restart()
    for window in (ada, grace):
        window.wait(lambda w=window: "You are back" in seen(w, ".announcement") and len(people(w)) == 2, LONG)
        window.wait(lambda w=window: listed(w) == ["#coffee2", "#tea2"])
    grace.type("text", "after")
    for window in (ada, grace):
        window.wait(lambda w=window: seen(w, ".text") == ["before", "after"])
    # None but of connections, while the server was away.
    assert all("net::" in error or "WebSocket connection" in error for error in browser.errors())


def test_everybody_reads_an_announcement(browser: Browser, reloading_demo: Demo) -> None:
    demo = reloading_demo
    demo.restart()  # nobody is there
    form = browser.open(f"{demo.url}/announce")
    form.type("text", "anybody?")
    form.wait(lambda: form["problem"].text.startswith("Nobody is here to read it."), LONG)
    assert form["text"].get_attribute("value") == "anybody?"

    rooms = come_in(browser, demo, "Ada")
    chats = [join(browser, f"{demo.url}{path}/lobby", "Ada") for path in ("/chat", *map("/old/{}".format, OLD_CLIENTS))]
    cpu = browser.open(f"{demo.url}/cpu")
    cpu.wait(lambda: cpu["now"].text != "–", LONG)
    readers = [rooms, *chats, cpu]

    def everybody_is_told() -> bool:
        # A page connects to its own namespace first, and then to the one where announcements come.
        form["text"].clear()
        form.type("text", "tea for <b>all</b>")
        return bool(form["sent"].text == f"Told {len(readers)} pages: tea for <b>all</b>")

    form.wait(everybody_is_told, LONG)
    for window in readers:
        window.wait(lambda w=window: w["announced-text"].text == "tea for <b>all</b>")
        window["announced-close"].click()
        assert not window["announced"].is_displayed()
