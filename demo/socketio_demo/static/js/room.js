// The chat's page, whichever client speaks for it: what it shows, and what its fields do.
import { $, problem, show } from "./live.js";
import { append, happened, keepAtEnd, person, said } from "./talk.js";

export const { room } = $("chat").dataset;
let member = 0; // our number in the room, 0 until we have joined

/**
 * Begin, with the two things that depend on the client:
 * start(name): connect, and join at each connection; called once, when the reader has chosen a name.
 * say(text): send it; may give back, or promise, `false` if the server did not take it.
 */
export function open({ start, say }) {
  $("say").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    if (!text) return;
    $("text").value = "";
    problem();
    if ((await say(text)) === false) $("text").value ||= text; // nothing typed is lost
  });

  $("join").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("name").value.trim();
    if (!name) return;
    sessionStorage.setItem("name", name); // of this window alone: two windows may be two people
    $("welcome").close();
    start(name);
  });

  $("welcome").addEventListener("cancel", (event) => event.preventDefault()); // without a name there is no chat

  const name = sessionStorage.getItem("name");
  if (name) return start(name);
  show("waiting", "not joined yet");
  $("welcome").showModal();
}

/** Show what the server says: messages of the form {type, ...}, see chat.py. */
export function receive(message) {
  handlers[message.type]?.(message);
}

const handlers = {
  welcome({ member: mine, people, history }) {
    member = mine;
    problem();
    $("messages").replaceChildren();
    history.forEach(add);
    announce(people.length > 1 ? "You joined" : "You joined. Open a second window to talk to.", people);
    enable(true);
  },
  said: add,
  joined: ({ name, people }) => announce(`${name} joined`, people),
  left: ({ name, people }) => announce(`${name} left`, people),
  error: ({ msg }) => problem(msg),
};

/** The connection is lost. */
export function leave() {
  member = 0;
  enable(false);
}

function add(message) {
  append($("messages"), said(message, message.member === member, message.member));
}

function announce(text, people) {
  append($("messages"), happened(text));
  $("count").textContent = people.length;
  $("people").replaceChildren(...people.map((one) => person(one.name, one.member === member)));
}

keepAtEnd($("messages"));

function enable(on) {
  $("text").disabled = !on;
  $("say").querySelector("button").disabled = !on;
  if (on && matchMedia("(hover: hover)").matches) $("text").focus(); // no keyboard popping up on a phone
}
