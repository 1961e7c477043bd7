// compat.js in a page with the browser build of a client: node compat_checks.cjs VERSION SCRIPT [URL]
//
// VERSION: of the client; SCRIPT: path of compat.js. Without URL the checks play the server themselves, behind the
// WebSocket that they give to the client. With URL (clients from 3.0 on) the page's scripts and its server are the real
// ones. Prints one line of JSON per check, as checks.cjs does.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const vm = require("node:vm");

const [version, script, url] = process.argv.slice(2);
const DEADLINE_MS = 8000 * Number(process.env.TEST_TIME_SCALE || 1);
const [major, minor] = version.split(".").map(Number);
const BUILD =
  version === "0.6.18"
    ? "socket.io-0.6.18/support/socket.io-client/socket.io.js"
    : `socket.io-client-${version}/${version === "1.0.6" ? "" : "dist/"}socket.io.js`;

async function until(condition, what) {
  const end = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not so within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

// --- What the client says on its WebSocket, and what a server would ---

const SOCKETIO_06 = {
  opened: (connection) => connection.say("~m~4~m~1234"),
  heard(connection, text) {
    for (const frame of text.split(/~m~\d+~m~/).slice(1)) connection.got("/", JSON.parse(frame.replace(/^~j~/, "")));
  },
  message: (value) => ((text) => `~m~${text.length}~m~${text}`)(`~j~${JSON.stringify(value)}`),
};

const SOCKETIO_09 = {
  opened: (connection) => connection.say("1::"),
  heard(connection, text) {
    const [, type, namespace, data] = /^(\d):[^:]*:([^:]*):?(.*)$/s.exec(text);
    if (type === "1") connection.say(`1::${namespace}`);
    if (type === "3" || type === "4") connection.got(namespace || "/", type === "4" ? JSON.parse(data) : data);
  },
  message: (value) => `4:::${JSON.stringify(value)}`,
};

// From 1.0 on; `asks`: the client asks for the namespace "/", too (from 3.0 on).
const socketio = (asks) => ({
  opened(connection) {
    connection.say('0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    if (!asks) connection.say(connection.server.refusal || "40");
  },
  heard(connection, text) {
    const [, type, namespace, data] = /^4(\d)(?:(\/[^,]*),?)?(.*)$/s.exec(text) || [];
    if (type === "0") {
      connection.say(connection.server.refusal || `40${namespace ? `${namespace},` : ""}${asks ? '{"sid":"s"}' : ""}`);
    }
    if (type === "2") connection.got(namespace || "/", JSON.parse(data)[1]);
  },
  message: (value) => `42${JSON.stringify(["message", value])}`,
});

const PROTOCOL = major > 0 ? socketio(major > 2) : minor > 6 ? SOCKETIO_09 : SOCKETIO_06;

class Server {
  connections = [];
  requests = []; // URLs
  refusal = null; // the packet that a client gets instead of being let in
  down = false; // whether connections fail

  constructor() {
    const server = this;
    this.WebSocket = class {
      got = (namespace, message) => this.messages.push(namespace === "/" ? message : { namespace, message });
      messages = [];
      server = server;
      readyState = 0;

      constructor(url) {
        server.requests.push(url);
        server.connections.push(this);
        setTimeout(() => {
          if (this.readyState !== 0) return;
          if (server.down) return this.onerror({});
          this.readyState = 1;
          if (this.onopen) this.onopen({});
          PROTOCOL.opened(this);
        });
      }
      send(text) {
        assert.equal(this.readyState, 1);
        PROTOCOL.heard(this, String(text));
      }
      say(text) {
        setTimeout(() => this.readyState === 1 && this.onmessage({ data: text }));
      }
      close() {
        if (this.readyState === 3) return;
        this.readyState = 3;
        setTimeout(() => this.onclose && this.onclose({ code: 1006 }));
      }
    };
    // 0.6 takes no WebSocket but the browser's own.
    this.WebSocket.prototype.send.toString = () => "function send() { [native code] }";
    // Handshakes of 0.7 to 0.9; nothing else is answered.
    this.XMLHttpRequest = class {
      withCredentials = false;
      open(method, url) {
        server.requests.push(url);
        this.handshake = /\/socket\.io\/1\//.test(url);
      }
      setRequestHeader() {}
      abort() {}
      send() {
        if (!this.handshake) return;
        Object.assign(this, { readyState: 4, status: 200, responseText: "1234:15:0.01:websocket" });
        setTimeout(() => this.onreadystatechange());
      }
    };
  }

  get last() {
    return this.connections.at(-1);
  }
}

// --- Pages ---

let current = null; // the running check's server

function page(globals, address = "http://page.example:8080/") {
  const { protocol, host, hostname, port } = new URL(address);
  const location = { protocol, host, hostname, port, href: address };
  const element = () => ({ style: {}, setAttribute() {}, appendChild() {} });
  const document = { domain: hostname, location, cookie: "", readyState: "complete", documentElement: { style: {} } };
  Object.assign(document, { createElement: element, getElementsByTagName: () => [element()], addEventListener() {} });
  const navigator = { userAgent: "Mozilla/5.0", platform: "", plugins: {}, mimeTypes: {} };
  const window = { location, document, navigator, addEventListener() {}, removeEventListener() {}, ...globals };
  Object.assign(window, { setTimeout, clearTimeout, setInterval, clearInterval, console });
  window.window = window.self = window;
  return vm.createContext(window);
}

function load(address) {
  current = new Server();
  const window = page({ WebSocket: current.WebSocket, XMLHttpRequest: current.XMLHttpRequest }, address);
  vm.runInContext(fs.readFileSync(require.resolve(BUILD), "utf8"), window, BUILD);
  vm.runInContext(fs.readFileSync(script, "utf8"), window, script);
  return window.io;
}

// A socket the way that a page makes one with this client. Reconnects soon.
function openSocket(io, shim, namespace = "") {
  if (shim || io.Socket.prototype.onReconnect) {
    const socket = new io.Socket(null, { transports: ["websocket"], reconnectionDelay: 5, rememberTransport: false });
    return socket.connect();
  }
  const options = { transports: ["websocket"], forceNew: true, "force new connection": true, reconnectionDelay: 5 };
  return io.connect(`http://page.example:8080${namespace}`, { ...options, "reconnection delay": 5 });
}

// Everything that arrived on the newest connection, once nothing can be under way any more.
async function arrived(socket) {
  const connection = current.last;
  (socket.json || socket).send({ type: "end" });
  await until(() => connection.messages.some((message) => (message.message || message).type === "end"), "end arrived");
  return connection.messages.slice(0, -1);
}

function happens(socket, event) {
  const happened = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`no event ${event} within ${DEADLINE_MS} ms`)), DEADLINE_MS);
    socket.on(event, resolve);
  });
  happened.catch(() => {}); // the check may have failed before, and not wait for it
  return happened;
}

const subscribed = (channel) => ({ type: "subscribe", channel });
const unsubscribed = (channel) => ({ type: "unsubscribe", channel });

// Time in which a client that should do nothing would do it.
const quiet = () => new Promise((resolve) => setTimeout(resolve, 40));

async function reconnected(socket) {
  const count = current.connections.length;
  const again = happens(socket, "connect");
  current.last.close();
  await until(() => current.connections.length > count, "another connection");
  await again;
  // What the page's and our listeners of "connect" do is over in the next turn.
  await new Promise((resolve) => setTimeout(resolve));
}

// With every client, and from 1.0 on with io.Socket over it, too.
const CHANNELS = {
  async subscribe_when_connected(shim) {
    const socket = openSocket(load(), shim);
    await happens(socket, "connect");
    assert.equal(socket.subscribe("room-1"), socket);
    assert.deepEqual(await arrived(socket), [subscribed("room-1")]);
  },

  async subscribe_in_the_listener(shim) {
    const socket = openSocket(load(), shim);
    socket.on("connect", () => socket.subscribe("room-1"));
    await happens(socket, "connect");
    assert.deepEqual(await arrived(socket), [subscribed("room-1")]);
    await reconnected(socket);
    assert.deepEqual(await arrived(socket), [subscribed("room-1")]);
  },

  async subscribe_before_the_connection(shim) {
    const socket = openSocket(load(), shim);
    socket.subscribe("a").subscribe("__proto__").subscribe("b").subscribe("7").subscribe("a").unsubscribe("b");
    await happens(socket, "connect");
    assert.deepEqual(await arrived(socket), ["a", "__proto__", "7"].map(subscribed));
  },

  async unsubscribe(shim) {
    const socket = openSocket(load(), shim);
    await happens(socket, "connect");
    assert.equal(socket.unsubscribe("never"), socket);
    socket.subscribe("a").unsubscribe("a");
    assert.deepEqual(await arrived(socket), [unsubscribed("never"), subscribed("a"), unsubscribed("a")]);
  },

  async subscribed_again_after_each_reconnect(shim) {
    const socket = openSocket(load(), shim);
    await happens(socket, "connect");
    socket.subscribe("a").subscribe("b").subscribe("c").unsubscribe("b");
    await arrived(socket);
    for (let time = 0; time < 2; time++) {
      await reconnected(socket);
      assert.deepEqual(await arrived(socket), ["a", "c"].map(subscribed));
    }
  },

  async sockets_do_not_share_channels(shim) {
    const io = load();
    const [one, other] = [openSocket(io, shim), openSocket(io, shim)];
    one.subscribe("a");
    other.subscribe("b");
    await Promise.all([happens(one, "connect"), happens(other, "connect")]);
    await new Promise((resolve) => setTimeout(resolve));
    const sent = current.connections.map((connection) => connection.messages);
    assert.deepEqual(sent, [[subscribed("a")], [subscribed("b")]]);
  },
};

const NAMESPACES = {
  async subscribe_in_a_namespace() {
    const socket = openSocket(load(), false, "/chat");
    socket.subscribe("a");
    await happens(socket, "connect");
    assert.deepEqual(await arrived(socket), [{ namespace: "/chat", message: subscribed("a") }]);
    await reconnected(socket);
    assert.deepEqual(await arrived(socket), [{ namespace: "/chat", message: subscribed("a") }]);
  },
};

function logged(socket) {
  const log = [];
  for (const name of "connecting connect message disconnect reconnecting reconnect connect_failed error".split(" ")) {
    socket.on(name, (...args) => log.push([name, ...args]));
  }
  return log;
}

// io.Socket over the clients from 1.0 on.
const SHIM = {
  async seed_page() {
    const io = load();
    const socket = new io.Socket(null, { reconnectionDelay: 5, transports: ["websocket"] });
    socket.on("connect", () => socket.send({ type: "connect", userid: 123 }));
    const log = logged(socket);
    assert.deepEqual([socket.connected, socket.connecting, socket.options.port], [false, false, "8080"]);
    await quiet();
    assert.deepEqual([current.requests, log], [[], []], "the constructor connects");
    assert.equal(socket.connect(), socket);
    assert.deepEqual([socket.connected, socket.connecting], [false, true]);
    await happens(socket, "connect");
    assert.deepEqual([socket.connected, socket.connecting], [true, false]);
    assert.deepEqual(await arrived(socket), [{ type: "connect", userid: 123 }]);
    current.last.say(PROTOCOL.message({ type: "some", list: [1] }));
    await happens(socket, "message");
    await reconnected(socket);
    assert.deepEqual(await arrived(socket), [{ type: "connect", userid: 123 }]);
    const first = [["connecting"], ["connect"], ["message", { type: "some", list: [1] }], ["disconnect"]];
    const again = [["reconnecting", 10, 1], ["connect"], ["reconnect", "websocket", 1]];
    // As text: the objects of the page have prototypes of their own.
    assert.equal(JSON.stringify(log), JSON.stringify([...first, ...again]));
  },

  async where_it_connects() {
    const first = async (address, ...args) => {
      new (load(address).Socket)(...args).connect();
      await until(() => current.requests.length, "a request");
      return current.requests[0].replace(/\?.*/, "");
    };
    const websocket = { transports: ["websocket"] };
    assert.equal(await first("http://a.example/"), "http://a.example/socket.io/");
    assert.equal(await first("http://a.example/", null, websocket), "ws://a.example/socket.io/");
    assert.equal(await first("https://a.example/x", null, websocket), "wss://a.example/socket.io/");
    assert.equal(await first("http://a.example:81/", null, websocket), "ws://a.example:81/socket.io/");
    const elsewhere = { ...websocket, port: 82, resource: "live/io", secure: true };
    assert.equal(await first("http://a.example/", "b.example", elsewhere), "wss://b.example:82/live/io/");
    for (const transports of [["xhr-polling"], ["websocket", "flashsocket"], ["htmlfile", "websocket"]]) {
      assert.equal(await first("http://a.example/", null, { transports }), "http://a.example/socket.io/");
    }
  },

  async sent_before_the_connection() {
    const socket = new (load().Socket)(null, { transports: ["websocket"] });
    socket.send("early").connect(() => socket.send({ n: 1 })).send([{ n: 2 }, [3]]);
    await happens(socket, "connect");
    assert.deepEqual(await arrived(socket), ["early", { n: 2 }, [3], { n: 1 }]);
  },

  async disconnect_and_connect_again() {
    const socket = openSocket(load(), true).subscribe("a");
    await happens(socket, "connect");
    const log = logged(socket);
    assert.equal(socket.disconnect().disconnect(), socket);
    assert.deepEqual([log, socket.connected, socket.connecting], [[["disconnect"]], false, false]);
    await until(() => current.last.readyState === 3, "closed");
    socket.connect();
    await happens(socket, "connect");
    assert.deepEqual(await arrived(socket), [subscribed("a")]);
    assert.deepEqual(log.map(([name]) => name), ["disconnect", "connecting", "connect"]);
    assert.equal(current.connections.length, 2);
  },

  async disconnect_while_connecting() {
    const socket = openSocket(load(), true);
    const log = logged(socket);
    await until(() => current.connections.length, "a WebSocket");
    socket.send("never to be seen").disconnect();
    await until(() => current.last.readyState === 3, "closed");
    assert.deepEqual([log, socket.connecting], [[], false]);
    await happens(socket.connect(), "connect");
    assert.deepEqual(await arrived(socket), []);
  },

  async connect_in_the_listener_of_disconnect() {
    const socket = openSocket(load(), true);
    await happens(socket, "connect");
    socket.on("disconnect", () => socket.connect());
    await reconnected(socket);
    assert.equal(socket.connected, true);
    await quiet();
    assert.equal(current.connections.filter((connection) => connection.readyState === 1).length, 1);
    assert.equal(current.connections.length, 2);
  },

  async not_let_in() {
    const io = load();
    current.refusal = major > 2 ? '44{"message":"Forbidden","data":{"status":403}}' : '44"Forbidden"';
    const error = await happens(openSocket(io, true), "error");
    const text = major > 2 ? '{"message":"Forbidden","data":{"status":403}}' : '"Forbidden"';
    assert.equal(JSON.stringify(error), text);
  },

  async gives_up() {
    const io = load();
    const socket = new io.Socket(null, { transports: ["websocket"], reconnectionDelay: 5, maxReconnectionAttempts: 2 });
    await happens(socket.connect(), "connect");
    const log = logged(socket);
    const failed = happens(socket, "reconnect_failed");
    current.down = true;
    current.last.close();
    await failed;
    const attempts = log.filter(([name]) => name !== "error" && name !== "connect_failed");
    assert.deepEqual(attempts, [["disconnect"], ["reconnecting", 10, 1], ["reconnecting", 20, 2]]);
    assert.deepEqual([socket.connected, socket.connecting, socket.reconnecting], [false, false, false]);
    current.down = false;
    await happens(socket.connect(), "connect");
  },

  async no_connection() {
    const io = load();
    current.down = true;
    const socket = new io.Socket(null, { transports: ["websocket"], reconnect: false });
    const log = logged(socket);
    await happens(socket.connect(), "error");
    await quiet();
    assert.deepEqual(log.map(([name]) => name), ["connecting", "connect_failed", "error"]);
    assert.equal(typeof log[2][1].message, "string");
    assert.deepEqual([socket.connected, socket.connecting], [false, false]);
  },

  async listeners() {
    const io = load();
    io.setPath("/static/");
    const socket = new io.Socket();
    const calls = [];
    const [add, once] = [(x) => calls.push(["on", x]), (x) => calls.push(["once", x])];
    for (const name of ["on", "addEvent", "addListener", "addEventListener"]) {
      for (const remove of ["removeEvent", "removeListener", "removeEventListener"]) {
        socket[name]("x", add).once("x", once).fire("x", [1]).emit("x", [2])[remove]("x", add).fire("x", [3]);
        assert.deepEqual(calls.splice(0), [["on", 1], ["once", 1], ["on", 2]]);
      }
    }
    socket.on("z", () => socket.on("z", add)).fire("z");
    socket.once("x", once).removeEvent("x", once).removeEvent("y", once).fire("x").fire("y");
    assert.deepEqual(calls, []);
  },
};

const WITHOUT_CLIENT = {
  async says_what_is_missing() {
    const source = fs.readFileSync(script, "utf8");
    assert.throws(() => vm.runInContext(source, page({})), /compat\.js: load the script of a Socket\.IO client/);
  },
};

// The page of the seed with everything real: it loads both scripts from the server that it talks to.
const REAL = {
  async seed_page_and_real_server() {
    const { XMLHttpRequest } = require("xmlhttprequest-ssl");
    const window = page({ XMLHttpRequest, WebSocket: require("ws") }, url);
    for (const name of ["socket.io.js", "compat.js"]) {
      const response = await fetch(`${url}/socket.io/${name}`);
      assert.equal(response.status, 200);
      vm.runInContext(await response.text(), window, name);
    }
    const log = [];
    const done = vm.runInContext(
      `(function (log) {
        var socket = new io.Socket(null, {transports: [
          'websocket', 'flashsocket', 'htmlfile', 'xhr-multipart', 'xhr-polling', 'jsonp-polling'
        ]});
        socket.on('connect', function () {
          log.push('connect');
          socket.send({type: "connect", userid: 123});
          socket.subscribe('room-' + 7);
        });
        socket.on('message', function (obj) {
          log.push(obj);
          if (obj.type === "subscribed") socket.unsubscribe(obj.channel);
          if (obj.type === "unsubscribed") socket.disconnect();
        });
        return new Promise(function (resolve) {
          socket.on('disconnect', resolve);
          socket.connect();
        });
      })`,
      window
    )(log);
    let gone = false;
    done.then(() => (gone = true));
    await until(() => gone, "everything said and disconnected");
    const expected = ["connect", { type: "connected", userid: 123 }, { type: "subscribed", channel: "room-7" }];
    assert.equal(JSON.stringify(log), JSON.stringify([...expected, { type: "unsubscribed", channel: "room-7" }]));
  },
};

async function run() {
  const runs = [];
  const add = (checks, prefix = "", ...args) => {
    for (const [name, check] of Object.entries(checks)) runs.push([prefix + name, () => check(...args)]);
  };
  if (url) {
    add(REAL);
  } else {
    add(CHANNELS, "", false);
    if (major > 0 || minor > 6) add(NAMESPACES);
    if (major > 0) {
      add(CHANNELS, "shim_", true);
      add(SHIM);
    }
    add(WITHOUT_CLIENT);
  }
  for (const [check, body] of runs) {
    try {
      await body();
      console.log(JSON.stringify({ check, ok: true }));
    } catch (error) {
      console.log(JSON.stringify({ check, ok: false, error: String(error.stack || error) }));
    }
  }
  process.exit();
}

run();
