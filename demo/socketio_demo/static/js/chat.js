// The chat with today's client.
import { connect, problem } from "./live.js";
import { leave, open, receive, room } from "./room.js";

let socket = null;

open({
  start(name) {
    socket = connect(`/chat/${room}`);
    socket.on("connect", () => ask("join", { name })); // also after a reconnect
    socket.on("disconnect", leave);
    socket.on("message", receive);
  },
  say: (text) => ask("say", { text }),
});

/** Send an event; gives back whether the server took it. What it minds is shown: it sends that as a message, too. */
async function ask(event, message) {
  try {
    const answer = await socket.timeout(10_000).emitWithAck(event, message);
    return !answer.error;
  } catch {
    problem("The server did not answer.");
    return false;
  }
}
