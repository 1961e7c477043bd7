// A client of any age from 0.7 on in Node: node driver.cjs VERSION
//
// Reads commands from standard input, [name, ...arguments] as JSON, one per line, and writes what the client hears to
// standard output, {"kind", "data"} as JSON, one per line; both as page.js has them. Ends with its standard input.
"use strict";

const readline = require("node:readline");
const { peer, coder } = require("./page.js");

const [version] = process.argv.slice(2);

const { decode, encode } = coder(
  // Of its own memory: clients 1.0 send all of the memory that a Buffer is cut from.
  (base64) => Buffer.from(Uint8Array.from(Buffer.from(base64, "base64")).buffer),
  (value) => (Buffer.isBuffer(value) || value instanceof ArrayBuffer ? Buffer.from(value).toString("base64") : null),
);

// Clients print, too; what is for the test has standard output for itself.
const write = process.stdout.write.bind(process.stdout);
console.log = console.info = console.error;

function record(kind, data) {
  write(JSON.stringify({ kind, data: data === undefined ? null : encode(data) }) + "\n");
}

process.on("uncaughtException", (error) => record("error", String(error.stack)));

// Clients 0.7 look for it where Node had it then.
process.EventEmitter = require("node:events");

const module_ = require(`socket.io-client-${version}`);
const client = peer(module_.io || module_, version, record);

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [name, ...values] = decode(JSON.parse(line));
    client[name](...values);
  })
  .on("close", () => process.exit());
