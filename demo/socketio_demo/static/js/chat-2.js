// The chat with socket.io-client 2.x (2017 to 2020): namespaces, events, and acknowledgements that call back.
import { announced, onLeaveForGood, problem, show } from "./live.js";
import { leave, open, receive, room } from "./room.js";

var socket;

open({
  start: function (name) {
    show("connecting", "connecting");
    socket = io("/chat/" + room);

    socket.on("connect", function () { // also after a reconnect
      var engine = socket.io.engine;
      show("connected", engine.transport.name);
      engine.on("upgrade", function (transport) {
        show("connected", transport.name);
      });
      socket.emit("join", { name: name });
    });
    socket.on("message", receive);
    io("/").on("message", announced);
    socket.on("disconnect", function () {
      show("connecting", "reconnecting");
      leave();
    });
    onLeaveForGood(function () {
      socket.disconnect();
    });
    socket.on("error", function (error) {
      show("failed", "refused");
      problem("The server refused the connection: " + error);
    });
  },

  say: function (text) {
    return new Promise(function (resolve) {
      socket.emit("say", { text: text }, function (answer) {
        resolve(!answer.error);
      });
    });
  },
});
