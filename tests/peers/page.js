// One interface for the official clients of all ages, in a page and in Node (driver.cjs).
//
// peer(io, version, record) gives {connect, send, emit, disconnect}. record(kind, data) is called with whatever the
// client hears: connect (name of the transport), upgrade (the same), message (value), event ([name, ...arguments]),
// ack ([number, ...arguments]), disconnect (reason or null) and error (text). What crosses to the test is JSON; bytes
// are {"base64": text} there, and an ArrayBuffer, or in Node a Buffer, here.
"use strict";

function peer(io, version, record) {
  const age = parseFloat(version);
  let socket;

  // Clients of 0.6 know no events but their own, and messages.
  const listen = (name, heard) => socket.on(name, heard);
  const textOf = (error) => String((error && (error.message || error.reason)) || error);

  function transportName() {
    if (age < 0.7) return socket.transport.type;
    if (age < 1) return socket.socket.transport.name;
    // JSONP calls itself polling, too; it numbers its callbacks.
    const { name, query } = socket.io.engine.transport;
    return query.j === undefined ? name : "jsonp-polling";
  }

  function opened(url, namespace, transport, resource, reconnect) {
    if (age < 0.7) {
      const { hostname, port } = new URL(url);
      const options = {
        port,
        resource,
        transports: [transport],
        rememberTransport: false,
        reconnect,
        tryTransportsOnConnectTimeout: false,
      };
      return new io.Socket(hostname, options);
    }
    if (age < 1) {
      // The option `transports` would be merged into this list element by element.
      io.transports = [transport];
      return io.connect(url + namespace, { resource, "force new connection": true, reconnect });
    }
    return io(url + namespace, {
      path: `/${resource}`,
      transports: { upgrade: ["polling", "websocket"], "jsonp-polling": ["polling"] }[transport] || [transport],
      forceJSONP: transport === "jsonp-polling",
      forceNew: true,
      reconnection: reconnect,
    });
  }

  return {
    // transport: websocket; before 1.0 also xhr-polling and jsonp-polling, since then polling, jsonp-polling, and
    // upgrade (polling first, then websocket). events: names to listen for.
    connect(url, { transport, namespace = "/", events = [], resource = "socket.io", reconnect = false }) {
      socket = opened(url, namespace, transport, resource, reconnect);
      listen("connect", () => record("connect", transportName()));
      listen("message", (value) => record("message", value));
      listen("disconnect", (reason) => record("disconnect", reason === undefined ? null : String(reason)));
      for (const name of ["error", "connect_error", "connect_failed"]) {
        listen(name, (error) => record("error", `${name}: ${textOf(error)}`));
      }
      for (const name of events) {
        listen(name, (...values) => {
          const answer = typeof values.at(-1) === "function" ? values.pop() : null;
          record("event", [name, ...values]);
          if (answer) answer(...values);
        });
      }
      if (age >= 1) socket.io.engine.on("upgrade", (transport) => record("upgrade", transport.name));
      if (age < 0.7) socket.connect();
    },

    // Before 0.7 and since 1.0 objects are sent as they are; 0.7 to 0.9 make text of them otherwise.
    send(value) {
      if (age >= 0.7 && age < 1 && typeof value !== "string") socket.json.send(value);
      else socket.send(value);
    },

    // number: of the ack that is wanted, or null.
    emit(name, values, number = null) {
      if (age < 0.7) throw new Error("clients before 0.7 have no events");
      const answers = number === null ? [] : [(...answer) => record("ack", [number, ...answer])];
      socket.emit(name, ...values, ...answers);
    },

    disconnect() {
      socket.disconnect();
    },

    // With the same socket, which clients before 1.0 can.
    again() {
      (socket.socket || socket).connect();
    },

    // Nothing gets in between.
    sendAndDisconnect(...values) {
      values.forEach((value) => this.send(value));
      this.disconnect();
    },

    sendAndDisconnectAndAgain(...values) {
      this.sendAndDisconnect(...values);
      this.again();
    },

    // Its transport is open then, but the server has not let it in. For 0.7 to 0.9.
    againAndDisconnectWhileConnecting() {
      const { onOpen } = socket.socket;
      socket.socket.onOpen = () => {
        delete socket.socket.onOpen;
        onOpen.call(socket.socket);
        this.disconnect();
        record("event", ["given up"]);
      };
      this.again();
    },

    sendWhenDisconnected(value) {
      listen("disconnect", () => this.send(value));
    },

    // Another socket in the same page, made while this one is connected; it says `value` when that has left. For 0.6.
    leaveToAnother(transport, value) {
      const first = socket;
      socket = opened(location.origin, "/", transport, "socket.io", false);
      listen("connect", () => socket.send(value));
      listen("message", (heard) => record("message", heard));
      first.disconnect();
      socket.connect();
    },

    // A time-out of the transport, which 0.6 has.
    sendAndLoseConnection(value) {
      this.send(value);
      socket.transport.onTimeout();
    },

    // From now on POSTs of XMLHttpRequest wait until releasePosts().
    holdPosts() {
      const { open, send } = XMLHttpRequest.prototype;
      const held = [];
      XMLHttpRequest.prototype.open = function (method, ...rest) {
        this.waits = method === "POST";
        return open.call(this, method, ...rest);
      };
      XMLHttpRequest.prototype.send = function (body) {
        if (this.waits) held.push(() => send.call(this, body));
        else send.call(this, body);
      };
      this.releasePosts = () => {
        Object.assign(XMLHttpRequest.prototype, { open, send });
        held.forEach((release) => release());
      };
    },
  };
}

// bytes(base64) makes what the client takes for binary data; text(bytes) undoes it, and is null for anything else.
function coder(bytes, text) {
  const within = (value, change) => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map(change);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, change(each)]));
  };
  const decode = (value) => (value && typeof value.base64 === "string" ? bytes(value.base64) : within(value, decode));
  const encode = (value) => {
    const base64 = text(value);
    return base64 === null ? within(value, encode) : { base64 };
  };
  return { decode, encode };
}

if (typeof module === "object") {
  module.exports = { peer, coder };
} else {
  const { decode, encode } = coder(
    (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer,
    (value) => (value instanceof ArrayBuffer ? btoa(String.fromCharCode(...new Uint8Array(value))) : null),
  );
  const entries = [];
  const record = (kind, data) => entries.push({ kind, data: data === undefined ? null : encode(data) });
  const version = document.documentElement.dataset.version;
  const client = peer(window.io, version, record);

  // For the test: a command is [name, ...arguments] as JSON text; entries are given from the first one on.
  window.command = (text) => {
    const [name, ...values] = decode(JSON.parse(text));
    client[name](...values);
  };
  window.entriesFrom = (first) => JSON.stringify(entries.slice(first));
  window.addEventListener("error", (event) => record("error", event.message));
}
