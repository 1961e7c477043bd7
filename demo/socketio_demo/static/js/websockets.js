// WebSockets as browsers have them, see websockets.py: no client library.
import { $ } from "./live.js";
import { append, element, happened, keepAtEnd, said } from "./talk.js";

const DELAYS = [0.5, 1, 2, 5]; // seconds before the next attempt; then always the last of them

/**
 * A WebSocket that is opened again whenever it is lost; gives back what sends on it.
 * panel: has its URL, and what it is good for while it is open: a state and a form.
 */
function keepOpen(panel, receive) {
  const state = panel.querySelector(".status");
  let socket = null;
  let attempts = 0;

  function open() {
    socket = new WebSocket(panel.dataset.url);
    socket.onmessage = (event) => receive(event.data);
    socket.onopen = () => {
      attempts = 0;
      show("connected", "connected");
    };
    socket.onclose = () => {
      show("connecting", "reconnecting");
      const delay = DELAYS[Math.min(attempts++, DELAYS.length - 1)];
      setTimeout(open, 1000 * delay * (0.75 + Math.random() / 2)); // not all windows at once
    };
  }

  function show(name, text) {
    state.dataset.state = name;
    state.textContent = text;
    panel.querySelector("fieldset").disabled = name !== "connected";
  }

  show("connecting", "connecting");
  open();
  return (text) => socket.send(text);
}

/** A panel that logs what was sent and what came. Its form sends a button's value, or what is in its field. */
function exchange(panel) {
  const list = panel.querySelector("ol");
  const field = panel.querySelector("input");
  const note = (className, text) => append(list, element("li", className, text));
  const send = keepOpen(panel, (text) => note("came", text));
  keepAtEnd(list);
  panel.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = event.submitter.value || field.value;
    note("sent", text);
    send(text);
    field?.select();
  });
}

exchange($("echo"));
exchange($("ping"));

// The chat: what is said has the name and the colour of that moment.

const send = keepOpen($("chat"), (text) => {
  const message = JSON.parse(text);
  append($("messages"), said(message, false, message.name + message.colour));
});
keepAtEnd($("messages"));
append($("messages"), happened("Open this page in more windows, and change your name or colour whenever you like."));

const COLOURS = ["#d9480f", "#2b8a3e", "#1864ab", "#862e9c", "#a61e4d", "#0b7285"];
$("colour").value = COLOURS[Math.floor(Math.random() * COLOURS.length)];

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, text] = [$("name").value.trim(), $("text").value.trim()];
  if (!name) return $("name").focus();
  if (!text) return;
  send(JSON.stringify({ name, colour: $("colour").value, text }));
  $("text").value = "";
});
