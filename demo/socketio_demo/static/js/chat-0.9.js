// The chat with socket.io-client 0.9 (2012 to 2014): namespaces, events and messages.
import { announced, onLeaveForGood, problem, show } from "./live.js";
import { leave, open, receive, room } from "./room.js";

var socket;

open({
  start: function (name) {
    show("connecting", "connecting");
    socket = io.connect("/chat/" + room);

    socket.on("connect", function () { // also after a reconnect
      show("connected", socket.socket.transport.name);
      socket.emit("join", { name: name });
    });
    socket.on("message", receive);
    io.connect("/").on("message", announced);
    socket.on("disconnect", function () {
      show("connecting", "reconnecting");
      leave();
    });
    onLeaveForGood(function () {
      socket.disconnect();
    });
    socket.on("connect_failed", function (reason) {
      show("failed", "refused");
      problem("The server refused the connection: " + reason);
    });
    socket.on("reconnect_failed", function () {
      show("failed", "gave up");
    });
  },

  say: function (text) {
    // An event would do as well; `send` alone would make a text of the object.
    socket.json.send({ type: "say", text: text });
  },
});
