// What a client of the official library must find: node checks.cjs CLIENT_VERSION MODE URL
//
// MODE: polling, websocket, or upgrade (polling first, then WebSocket). Prints one line of JSON per check:
// {"check": name, "ok": true} or {"check": name, "ok": false, "error": text}. With a fourth argument `restart` it runs
// the one check during which the server is to be restarted, and prints {"waiting": true} when that shall happen.
"use strict";

const assert = require("node:assert/strict");

const [version, mode, url, only] = process.argv.slice(2);
const { io } = require(`socket.io-client-${version}`);

const DEADLINE_MS = 8000 * Number(process.env.TEST_TIME_SCALE || 1);
const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

let sockets = []; // of the running check

function open(namespace = "/", options = {}) {
  const socket = io(url + namespace, {
    transports: TRANSPORTS[mode],
    forceNew: true,
    reconnection: false,
    ...options,
  });
  sockets.push(socket);
  return socket;
}

function within(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The arguments of the next event of that name: ask before causing it.
function next(emitter, event) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `event ${event}`);
}

function asked(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), `ack of ${event}`);
}

async function until(condition, what) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not so within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function connected(namespace, options) {
  const socket = open(namespace, options);
  const refused = new Promise((_, reject) => socket.once("connect_error", (error) => reject(error)));
  await Promise.race([next(socket, "connect"), refused]);
  return socket;
}

// Connected, and on the transport that this mode ends on.
async function settled(namespace, options) {
  const socket = await connected(namespace, options);
  const last = TRANSPORTS[mode].at(-1);
  await until(() => socket.io.engine.transport.name === last, `transport is ${last}`);
  return socket;
}

async function refusal(namespace, options) {
  const socket = open(namespace, options);
  const [error] = await next(socket, "connect_error");
  assert.equal(socket.connected, false);
  return { socket, message: error.message, data: error.data };
}

async function echoes(socket, ...args) {
  const back = next(socket, "echo");
  socket.emit("echo", ...args);
  assert.deepEqual(await back, args);
}

// Compares binary values by their bytes; `pattern` makes all of them different.
function pattern(length, seed = 0) {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255));
}

function upTo(count) {
  return Array.from({ length: count }, (_, i) => i);
}

const CHECKS = {
  async connect() {
    const socket = await settled();
    assert.equal(typeof socket.id, "string");
    assert.notEqual(socket.id, "");
    assert.notEqual(socket.id, socket.io.engine.id);
  },

  async text() {
    const socket = await connected();
    await echoes(socket, "hello");
    await echoes(socket, "");
    await echoes(socket, 'quote " backslash \\ newline \n tab \t nul \u0000 separators \u001e \u2028 \u2029');
    await echoes(socket, "looks like a packet", '451-["x",{"_placeholder":true}]', "b64", "4true");
    await echoes(socket, "x".repeat(200000));
  },

  async unicode() {
    const socket = await connected();
    await echoes(socket, "Grüße, 漢字, עברית, 👩‍👩‍👧, 𝄞, 😀");
    await echoes(socket, "😀".repeat(20000));
    await echoes(socket, { "ключ 🗝": ["𝄞"] });
  },

  async json() {
    const socket = await connected();
    await echoes(socket);
    await echoes(socket, 0, -1, 1.5, 1e21, 2 ** 53 - 1, true, false, null, "", [], {});
    await echoes(socket, { a: [1, { b: [[], [{ c: null }]] }], d: { e: { f: { g: [true, "x"] } } } });
  },

  async json_after_upgrade() {
    const socket = await settled();
    await echoes(socket, { a: [1, { b: "😀" }] });
  },

  async binary() {
    const socket = await connected();
    await echoes(socket, pattern(1));
    await echoes(socket, Buffer.alloc(0));
    await echoes(socket, pattern(256));
    await echoes(socket, pattern(300000));
  },

  async binary_several() {
    const socket = await connected();
    await echoes(socket, "head", { a: pattern(3), b: [pattern(4, 1), { c: pattern(5, 2) }], d: "text" }, pattern(6, 3));
    await echoes(socket, ...upTo(10).map((seed) => pattern(50, seed)));
  },

  async binary_after_upgrade() {
    const socket = await settled();
    await echoes(socket, pattern(70000), { b: pattern(4, 1) });
  },

  async binary_is_not_mixed_up() {
    const socket = await connected();
    const back = [];
    socket.on("echo", (number, data) => back.push([number, data]));
    for (const number of upTo(50)) socket.emit("echo", number, number % 3 ? pattern(20, number) : "text");
    await until(() => back.length === 50, "50 echoes");
    assert.deepEqual(back, upTo(50).map((number) => [number, number % 3 ? pattern(20, number) : "text"]));
  },

  async ack() {
    const socket = await connected();
    assert.deepEqual(await asked(socket, "echo:ack", "value"), ["value"]);
    assert.deepEqual(await asked(socket, "echo:ack", { a: [1, "😀"] }), [{ a: [1, "😀"] }]);
    assert.deepEqual(await asked(socket, "echo:ack", [1, 2]), [[1, 2]]);
    assert.deepEqual(await asked(socket, "echo:ack", false), [false]);
    const all = await Promise.all(upTo(50).map((number) => asked(socket, "echo:ack", number)));
    assert.deepEqual(all, upTo(50).map((number) => [number]));
  },

  async ack_binary() {
    const socket = await connected();
    assert.deepEqual(await asked(socket, "echo:ack", pattern(500)), [pattern(500)]);
    const several = { a: pattern(3), b: [pattern(4, 1)] };
    assert.deepEqual(await asked(socket, "echo:ack", several), [several]);
  },

  async ack_too_late_for_the_client() {
    const socket = await connected();
    if (socket.timeout) {
      const error = await within(
        new Promise((resolve) => socket.timeout(50).emit("slow", 0.3, resolve)),
        "time-out of the client",
      );
      assert.ok(error instanceof Error);
    } else {
      socket.emit("slow", 0.3); // Older than 4.4, where timeout() came: a question whose answer nobody waits for.
    }
    assert.deepEqual(await asked(socket, "echo:ack", "still here"), ["still here"]);
  },

  async server_asks() {
    const socket = await connected();
    socket.on("question", (question, answer) => answer({ you: question }));
    for (const event of ["ask", "ask_with_callback"]) {
      const answered = next(socket, "answered");
      socket.emit(event, "how 😀?");
      assert.deepEqual(await answered, [{ you: "how 😀?" }]);
    }
  },

  async server_asks_binary() {
    const socket = await connected();
    socket.on("question", (question, answer) => answer({ you: question, me: pattern(9, 5) }));
    for (const event of ["ask", "ask_with_callback"]) {
      const answered = next(socket, "answered");
      socket.emit(event, pattern(300));
      assert.deepEqual(await answered, [{ you: pattern(300), me: pattern(9, 5) }]);
    }
  },

  async server_asks_in_vain() {
    const socket = await connected();
    const noAnswer = next(socket, "no answer");
    socket.emit("ask_in_vain");
    await noAnswer;
    await echoes(socket, "still here");
  },

  async typed_messages() {
    const socket = await connected();
    let back = next(socket, "message");
    socket.send({ type: "say", text: "hi" });
    assert.deepEqual(await back, [{ type: "said", text: "hi" }]);
    back = next(socket, "message");
    socket.send({ type: "kill" });
    assert.equal((await back)[0].error, "unknown_command");
    back = next(socket, "message");
    socket.send("no dict");
    assert.equal((await back)[0].error, "bad_request");
    await echoes(socket, "still here");
  },

  async broadcast() {
    const [speaker, listener] = await Promise.all([connected(), connected()]);
    const heard = [];
    speaker.on("heard", (value) => heard.push(value));
    let other = next(listener, "heard");
    speaker.emit("to_others", pattern(40));
    assert.deepEqual(await other, [pattern(40)]);
    await echoes(speaker, "a round trip"); // What was for the speaker would have come before this.
    assert.deepEqual(heard, []);
    const expected = [{ type: "heard", value: "all 😀" }];
    const both = Promise.all([next(speaker, "message"), next(listener, "message")]);
    speaker.emit("to_all", "all 😀");
    assert.deepEqual(await both, [expected, expected]);
  },

  async namespaces() {
    const manager = { forceNew: false, multiplex: true };
    const main = await connected("/", manager);
    const red = await connected("/chat/red", manager);
    const blue = await connected("/chat/déjà-vu-😀-%41", manager);
    assert.equal(main.io, red.io);
    assert.equal(new Set([main.id, red.id, blue.id]).size, 3);
    assert.deepEqual(await asked(red, "where"), [{ room: "red" }]);
    assert.deepEqual(await asked(blue, "where"), [{ room: "déjà-vu-😀-%41" }]);
    const wrong = [];
    main.on("said", (...args) => wrong.push(args));
    blue.on("said", (...args) => wrong.push(args));
    const said = next(red, "said");
    red.emit("say", "hi", pattern(8));
    assert.deepEqual(await said, ["red", "hi", pattern(8)]);
    await echoes(main, "a round trip");
    assert.deepEqual(wrong, []);
    // Leaving one leaves the others as they are.
    red.disconnect();
    await echoes(main, "still here");
    red.connect();
    await next(red, "connect");
    assert.deepEqual(await asked(red, "where"), [{ room: "red" }]);
  },

  async auth() {
    const member = await connected("/members", { auth: { token: "open sesame" } });
    assert.deepEqual(await asked(member, "whoami"), ["a member"]);
    const later = await connected("/members", { auth: (give) => setTimeout(give, 1, { token: "open sesame" }) });
    assert.deepEqual(await asked(later, "whoami"), ["a member"]);
  },

  async refused_with_data() {
    const { socket, message, data } = await refusal("/members", { auth: { token: "wrong 😀" } });
    assert.equal(message, "Not a member");
    assert.deepEqual(data, { code: "E1", seen: { token: "wrong 😀" } });
    socket.auth = { token: "open sesame" };
    const accepted = next(socket, "connect");
    socket.connect();
    await accepted;
    assert.deepEqual(await asked(socket, "whoami"), ["a member"]);
  },

  async refused_without_auth() {
    const { message, data } = await refusal("/members");
    assert.equal(message, "Not a member");
    assert.equal(data.code, "E1");
    assert.ok(!data.seen || Object.keys(data.seen).length === 0);
  },

  async refused_by_status() {
    const { message, data } = await refusal("/forbidden");
    assert.equal(message, "Forbidden");
    assert.deepEqual(data, { status: 403 });
  },

  async refused_by_a_bug() {
    const { message, data } = await refusal("/broken");
    assert.equal(message, "Internal server error");
    assert.deepEqual(data, { status: 500 });
  },

  async invalid_namespace() {
    const { socket, message, data } = await refusal("/nowhere");
    assert.equal(message, "Invalid namespace");
    assert.equal(data, undefined);
    // The connection goes on, with another namespace.
    const main = socket.io.socket("/");
    sockets.push(main);
    if (!main.active) main.connect(); // Managers connect new sockets by themselves in some versions only.
    await until(() => main.connected, "the other namespace is connected");
    await echoes(main, "still here");
  },

  async client_disconnects() {
    const [socket, witness] = await Promise.all([connected(), connected()]);
    const { id } = socket;
    const reason = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await reason)[0], "io client disconnect");
    await until(async () => (await asked(witness, "why_ended", id))[0] === "client", "the server has seen the client go");
  },

  async client_vanishes() {
    const [socket, witness] = await Promise.all([settled(), connected()]);
    const { id } = socket;
    const reason = next(socket, "disconnect");
    socket.io.engine.close();
    assert.notEqual((await reason)[0], "io server disconnect");
    await until(async () => (await asked(witness, "why_ended", id))[0], "the server has seen the client go");
  },

  async server_disconnects() {
    const [socket, witness] = await Promise.all([connected(), connected()]);
    const { id } = socket;
    const reason = next(socket, "disconnect");
    socket.emit("leave_me");
    assert.equal((await reason)[0], "io server disconnect");
    assert.equal(socket.connected, false);
    await until(async () => (await asked(witness, "why_ended", id))[0] === "server", "the reason at the server");
    // It may come back, once the old connection is gone (clients 3.x mistake its end for that of the new one).
    await until(() => socket.io.engine.readyState === "closed", "the old connection is closed");
    const again = next(socket, "connect");
    socket.connect();
    await again;
    assert.notEqual(socket.id, id);
    await echoes(socket, "back");
  },

  async emitted_before_connected() {
    const socket = open();
    const back = [];
    socket.on("echo", (number) => back.push(number));
    for (const number of upTo(20)) socket.emit("echo", number);
    await until(() => back.length === 20, "20 echoes");
    assert.deepEqual(back, upTo(20));
  },

  // An upgrade begins in the middle of it.
  async numbered_both_ways() {
    const COUNT = 200;
    const socket = await connected("/", { upgrade: false });
    const { engine } = socket.io;
    const received = [];
    socket.on("number", (number) => received.push(number));
    socket.emit("count_to", COUNT, 0.001);
    for (const number of upTo(COUNT)) {
      if (mode === "upgrade" && number === COUNT / 4) {
        assert.equal(engine.transport.name, "polling");
        (engine._probe || engine.probe).call(engine, "websocket"); // What it does with the option `upgrade`.
      }
      socket.emit("number", number);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await until(() => received.length >= COUNT, `${COUNT} numbers from the server`);
    await until(() => engine.transport.name === TRANSPORTS[mode].at(-1), "the upgrade has happened");
    assert.deepEqual(await asked(socket, "numbers_seen"), [upTo(COUNT)]);
    assert.deepEqual(received, upTo(COUNT));
  },

  // The server of the tests pings more often than the default.
  async heartbeat() {
    const socket = await settled();
    let pings = 0;
    socket.io.engine.on("packet", (packet) => (pings += packet.type === "ping"));
    await until(() => pings >= 3, "3 pings");
    await echoes(socket, "still here");
  },
};

const RESTART = {
  async reconnect_after_restart() {
    const socket = await settled("/", { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
    const { id } = socket;
    await echoes(socket, "before");
    const gone = next(socket, "disconnect");
    const back = next(socket.io, "reconnect");
    console.log(JSON.stringify({ waiting: true }));
    assert.ok(["transport close", "transport error"].includes((await gone)[0]));
    socket.emit("echo", "kept until the server is back");
    const kept = next(socket, "echo");
    await back;
    assert.deepEqual(await kept, ["kept until the server is back"]);
    assert.notEqual(socket.id, id);
    await echoes(socket, "after");
  },
};

async function main() {
  for (const [check, run] of Object.entries(only === "restart" ? RESTART : CHECKS)) {
    sockets = [];
    let report = { check, ok: true };
    try {
      await within(run(), "end of the check", 3 * DEADLINE_MS);
    } catch (error) {
      report = { check, ok: false, error: String(error.stack || error) };
    }
    for (const socket of sockets) socket.io._close ? socket.io._close() : socket.disconnect();
    console.log(JSON.stringify(report));
  }
  process.exit(0); // Clients that a failed check left behind would keep the process alive.
}

process.on("unhandledRejection", () => {}); // Of a promise that a failed check no longer waits for.
main();
