// The chat with the client of socket.io 0.6 (2011): messages are all that it can say, and it knows no namespaces.
import { announced, onLeaveForGood, show } from "./live.js";
import { leave, open, receive, room } from "./room.js";

var socket = null;

open({
  start: function (name) {
    var secure = location.protocol == "https:";
    socket = new io.Socket(null, {
      secure: secure,
      port: location.port || (secure ? 443 : 80),
      transports: ["websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling"],
    });

    socket.on("connect", function () { // also after a reconnect
      show("connected", socket.transport.type);
      socket.send({ type: "join", room: room, name: name });
    });
    socket.on("message", receive);
    socket.on("message", announced);
    socket.on("disconnect", function () {
      show("connecting", "reconnecting");
      leave();
    });
    socket.on("connect_failed", function () {
      show("failed", "no connection");
    });
    socket.on("reconnect_failed", function () {
      show("failed", "gave up");
    });

    onLeaveForGood(function () {
      socket.disconnect();
    });

    show("connecting", "connecting");
    socket.connect();
  },

  say: function (text) {
    socket.send({ type: "say", text: text });
  },
});
