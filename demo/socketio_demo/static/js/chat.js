import { $, connect, problem, show } from "./live.js";

const { room } = $("chat").dataset;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const MOST_ROWS = 500;

let name = sessionStorage.getItem("name") ?? "";
let member = 0; // our number in the room, 0 until we have joined
let socket = null;

// --- the connection --------------------------------------------------------------------------------------------

function start() {
  socket = connect(`/chat/${room}`);
  socket.on("connect", join); // also after a reconnect
  socket.on("disconnect", leave);
  socket.on("message", (message) => {
    if (!member) return; // the answer to our joining will hold it
    if (message.type === "said") append(said(message));
    if (message.type === "joined") announce(`${message.name} joined`, message.people);
    if (message.type === "left") announce(`${message.name} left`, message.people);
  });
}

async function join() {
  const answer = await ask("join", { name });
  if (!answer) return;
  member = answer.member;
  $("messages").replaceChildren(...answer.history.map(said));
  announce(answer.people.length > 1 ? "You joined" : "You joined. Open a second window to talk to.", answer.people);
  enable(true);
}

function leave() {
  member = 0;
  enable(false);
}

/** Send an event and give back the server's answer, or show what went wrong and give back null. */
async function ask(event, message) {
  try {
    const answer = await socket.timeout(10_000).emitWithAck(event, message);
    problem(answer.msg);
    return answer.error ? null : answer;
  } catch {
    problem("The server did not answer.");
    return null;
  }
}

// --- the page ----------------------------------------------------------------------------------------------------

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

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  if (!(await ask("say", { text }))) $("text").value ||= text; // nothing typed is lost
});

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value.trim();
  if (!name) return;
  sessionStorage.setItem("name", name); // of this window alone: two windows may be two people
  $("welcome").close();
  start();
});

$("welcome").addEventListener("cancel", (event) => event.preventDefault()); // without a name there is no chat

if (name) start();
else {
  show("waiting", "not joined yet");
  $("welcome").showModal();
}
