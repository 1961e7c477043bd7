// Peer: Node's own server, socket.io, with its defaults.
const { Server } = require("socket.io");
const http = require("http").createServer();

const io = new Server(http);
io.on("connection", (socket) => {
  socket.on("message", (msg) => {
    if (msg.type === "echo") socket.emit("message", msg);
    else if (msg.type === "shout") io.emit("message", msg);
  });
});

http.listen(0, "127.0.0.1", 4096, () => console.log("listening on", http.address().port));
