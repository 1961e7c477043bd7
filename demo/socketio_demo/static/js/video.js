import { $, connect, problem } from "./live.js";

const socket = connect("/video");
const ready = "ready" in $("start").dataset; // whether the server has ffmpeg
let working = false;

const handlers = {
  progress: ({ percent }) => advance(percent),
  video: ({ url, title, size }) => go(url, `${title}, ${(size / 1e6).toFixed(1)} MB`),
  error: () => idle("No video this time."),
};

socket.on("message", (message) => handlers[message.type]?.(message));
socket.on("connect", () => update());
socket.on("disconnect", () => {
  if (working) idle("The connection was lost, and the order with it.");
  update();
});

$("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const scene = new FormData($("order")).get("scene");
  problem();
  working = true;
  update();
  screen("working", "ffmpeg is starting");
  advance(0);
  try {
    const answer = await socket.timeout(10_000).emitWithAck("transcode", { scene });
    if (!answer.error) return;
    problem(answer.msg);
  } catch {
    problem("The server did not answer.");
  }
  idle("No video this time.");
});

$("cancel").addEventListener("click", async () => {
  await socket.emitWithAck("cancel");
  if (working) idle("Cancelled.");
});

function advance(percent) {
  $("progress").value = percent;
  $("percent").textContent = `${percent} %`;
  if (percent) $("note").textContent = "ffmpeg is encoding, the server is free";
}

function go(url, title) {
  idle(`Ready: ${title}`);
  screen("ready", `Ready: ${title}`);
  $("video").src = url;
  // Browsers may refuse to start sound that nobody clicked for; then the reader presses play.
  $("video").play().catch(() => {});
}

function idle(note) {
  working = false;
  update();
  screen("empty", note);
}

function screen(state, note) {
  $("screen").dataset.state = state;
  $("note").textContent = note;
  $("video").hidden = state !== "ready";
  if (state !== "ready") $("video").pause();
  $("progress").hidden = state !== "working";
  $("percent").hidden = state !== "working";
}

function update() {
  $("start").disabled = working || !ready || !socket.connected;
  $("cancel").hidden = !working;
}
