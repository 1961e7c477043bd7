// Rooms that people make, see rooms.py: today's client, and compat.js for `socket.subscribe(channel)`.
import { $, connect, problem, show } from "./live.js";
import { append, element, happened, keepAtEnd, person, said } from "./talk.js";

const entered = new Map(); // the rooms that this window is in: name -> {list, people, unread}
let all = []; // all rooms: {name, count}
let current = ""; // the room that is shown
let asked = ""; // the room that we have asked for, until the server has answered
let me = ""; // our name
let socket = null;

const handlers = {
  welcome({ name }) {
    me = name;
    sessionStorage.setItem("name", me); // of this window alone: two windows may be two people
    $("welcome").close();
    enable();
  },
  rooms({ rooms }) {
    all = rooms;
    drawRooms();
  },
  joined({ room, name, people }) {
    if (name !== me) return tell(room, `${name} joined`, people);
    const back = entered.has(room); // the connection was lost meanwhile
    if (!back) enter(room);
    tell(room, back ? "You are back" : people.length > 1 ? "You joined" : "You made this room", people);
  },
  left({ room, name, people }) {
    if (name === me) leave(room);
    else tell(room, `${name} left`, people);
  },
  said(message) {
    const talk = entered.get(message.room);
    if (!talk) return;
    append(talk.list, said(message, message.name === me));
    if (message.room === current) return;
    talk.unread += 1;
    drawRooms();
  },
  error() {
    if (!asked) return;
    socket.unsubscribe(asked); // else it would be asked for again after a reconnect
    asked = "";
  },
};

/** Connect by a name. The server may refuse it; then the reader is asked for another one. */
function start(name) {
  problem();
  if (socket) {
    socket.auth = { name };
    socket.connect();
    return;
  }
  socket = connect("/rooms", { auth: { name } });
  socket.on("message", (message) => handlers[message.type]?.(message));
  socket.on("connect_error", (error) => {
    if (!socket.active) ask(error.message);
  });
  socket.on("disconnect", () => {
    asked = "";
    enable();
  });
}

function ask(why = "") {
  problem();
  show("waiting", "no name yet");
  $("refused").textContent = why;
  $("refused").hidden = !why;
  if (!$("welcome").open) $("welcome").showModal();
  $("name").select();
}

$("welcome").addEventListener("cancel", (event) => event.preventDefault()); // without a name nobody gets in

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  start($("name").value.trim());
});

// Rooms

$("create").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("room").value.trim();
  if (room) open(room);
});

$("leave").addEventListener("click", () => socket.unsubscribe(current));

/** Show a room; ask for it where we are not in it. */
function open(room) {
  problem();
  if (entered.has(room)) return draw(room);
  asked = room;
  socket.subscribe(room);
}

/** The server has let us in. */
function enter(room) {
  const list = element("ol", "messages");
  list.setAttribute("role", "log");
  list.ariaLabel = `Messages in #${room}`;
  list.tabIndex = 0;
  $("talks").append(list);
  keepAtEnd(list);
  entered.set(room, { list, people: [], unread: 0 });
  asked = "";
  draw(room);
}

/** The server has let us go. */
function leave(room) {
  entered.get(room)?.list.remove();
  entered.delete(room);
  if (room === current) draw([...entered.keys()].at(-1) ?? "");
}

/** Something has happened in a room, and these are the people there now. */
function tell(room, text, people) {
  const talk = entered.get(room);
  if (!talk) return;
  append(talk.list, happened(text));
  talk.people = people;
  if (room === current) drawPeople();
}

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  problem();
  try {
    const answer = await socket.timeout(10_000).emitWithAck("say", { room: current, text });
    if (!answer.error) return;
  } catch {
    problem("The server did not answer.");
  }
  $("text").value ||= text; // nothing typed is lost
});

// What is to be seen

/** Show a room, or none. */
function draw(room) {
  current = room;
  for (const [name, { list }] of entered) list.hidden = name !== room;
  if (room) entered.get(room).unread = 0;
  $("room").value = "";
  $("title").textContent = room ? `#${room}` : "No room yet";
  $("text").placeholder = room ? `Message #${room}` : "";
  $("nowhere").hidden = Boolean(room);
  drawPeople();
  drawRooms();
  document.querySelector("#all [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  enable();
}

function drawPeople() {
  const people = entered.get(current)?.people ?? [];
  $("count").textContent = people.length;
  $("people").replaceChildren(...people.map((name) => person(name, name === me)));
}

function drawRooms() {
  const focused = document.activeElement?.dataset.room;
  $("all").replaceChildren(...all.map(roomButton));
  $("all-count").textContent = all.length;
  if (focused) [...document.querySelectorAll("#all button")].find((one) => one.dataset.room === focused)?.focus();
}

function roomButton({ name, count }) {
  const talk = entered.get(name);
  const button = element("button", "", element("span", "name", `#${name}`));
  if (talk?.unread) button.append(element("span", "unread", `${talk.unread} new`));
  if (!talk) button.append(element("span", "enter", "Enter"));
  button.append(element("span", "count", count));
  button.title = `#${name}, ${count} here`;
  button.dataset.room = name;
  if (name === current) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => open(name));
  return element("li", "", button);
}

/** What needs the connection works only with it, and what needs a room only in one. */
function enable() {
  const on = Boolean(socket?.connected);
  $("where").disabled = !on;
  $("leave").hidden = !current;
  $("leave").disabled = !on;
  for (const field of $("say").elements) field.disabled = !(on && current);
  if (on && matchMedia("(hover: hover)").matches) $(current ? "text" : "room").focus(); // no keyboard on a phone
}

const name = sessionStorage.getItem("name");
if (name) start(name);
else ask();
