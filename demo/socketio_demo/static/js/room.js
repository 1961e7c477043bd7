// The chat's page, whichever client speaks for it: what it shows, and what its fields do.
import { $, problem, show } from "./live.js";

export const { room } = $("chat").dataset;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const MOST_ROWS = 500;

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
    $("messages").replaceChildren(...history.map(said));
    announce(people.length > 1 ? "You joined" : "You joined. Open a second window to talk to.", people);
    enable(true);
  },
  said: (message) => append(said(message)),
  joined: ({ name, people }) => announce(`${name} joined`, people),
  left: ({ name, people }) => announce(`${name} left`, people),
  error: ({ msg }) => problem(msg),
};

/** The connection is lost. */
export function leave() {
  member = 0;
  enable(false);
}

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children); // strings become text, never HTML
  return node;
}

function avatar(who) {
  const node = element("span", "avatar", [...who][0].toUpperCase());
  const hue = [...who].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  node.style.setProperty("--hue", hue);
  node.ariaHidden = "true";
  return node;
}

function said(message) {
  const mine = message.member === member;
  const time = element("time", "", clock.format(message.time_ms));
  time.dateTime = new Date(message.time_ms).toISOString();
  const head = element("p", "by", element("b", "", message.name), time);
  const bubble = element("div", "bubble", head, element("p", "text", message.text));
  const row = element("li", mine ? "row mine" : "row", avatar(message.name), bubble);
  row.dataset.member = message.member;
  return row;
}

function announce(text, people) {
  append(element("li", "announcement", text));
  $("count").textContent = people.length;
  $("people").replaceChildren(
    ...people.map((person) =>
      element("li", person.member === member ? "me" : "", avatar(person.name), element("span", "", person.name)),
    ),
  );
}

function append(row) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  // Several messages of one person in a row need the name only once.
  row.classList.toggle("more", "member" in row.dataset && list.lastElementChild?.dataset.member === row.dataset.member);
  list.append(row);
  if (list.childElementCount > MOST_ROWS) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// A phone's keyboard, or a turn of the phone, changes the height: the last message stays in sight.
new ResizeObserver(() => ($("messages").scrollTop = $("messages").scrollHeight)).observe($("messages"));

function enable(on) {
  $("text").disabled = !on;
  $("say").querySelector("button").disabled = !on;
  if (on && matchMedia("(hover: hover)").matches) $("text").focus(); // no keyboard popping up on a phone
}
