// What all pages share: a connection that shows its state, and small help with the page.

/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** Show a problem to the reader, or take it away with no text. */
export function problem(text = "") {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

/**
 * Connect to a namespace of this page's own server, and keep the state in the page's header up to date.
 * Messages of the form {type: "error", error, msg} are shown as a problem, and announcements to the whole site, too.
 */
export function connect(namespace, options) {
  if (!window.io) {
    show("failed", "no client");
    problem("The Socket.IO client did not load: run `npm install` in the demo's directory, then start again.");
    throw new Error("socket.io.js is missing");
  }
  show("connecting", "connecting");
  const socket = window.io(namespace, options);
  window.io("/").on("message", announced); // over the same connection
  const engine = socket.io;
  onLeave(() => engine.engine?.close()); // on the way back it connects anew

  socket.on("connect", () => {
    problem();
    show("connected", engine.engine.transport.name);
    engine.engine.on("upgrade", (transport) => show("connected", transport.name));
  });
  socket.on("disconnect", () => show("connecting", "reconnecting"));
  engine.on("reconnect_attempt", () => show("connecting", "reconnecting"));
  socket.on("connect_error", (error) => {
    if (socket.active) return; // it tries again by itself
    show("failed", "refused");
    problem(`The server refused the connection: ${error.message}`);
  });
  socket.on("message", (message) => {
    if (message.type === "error") problem(message.msg);
  });
  return socket;
}

/**
 * Call `leave()` when the reader goes on to another page: browsers may keep this one for the way back, frozen, with its
 * connections open, and the server would take the reader for present until the heartbeat is missed.
 */
export function onLeave(leave) {
  window.addEventListener("pagehide", leave);
}

/** As `onLeave`, for clients that do not come back by themselves: on the way back the page begins anew. */
export function onLeaveForGood(leave) {
  onLeave(leave);
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
}

/** Show what comes by the namespace `/`, if it is an announcement: {type: "announcement", text}, see announce.py. */
export function announced({ type, text }) {
  if (type !== "announcement") return;
  $("announced-text").textContent = text;
  $("announced").hidden = false;
  $("announced-close").onclick = () => ($("announced").hidden = true);
}

/** Show the state of the connection in the page's header. */
export function show(state, text) {
  const status = $("status");
  status.dataset.state = state;
  status.firstElementChild.textContent = text;
}
