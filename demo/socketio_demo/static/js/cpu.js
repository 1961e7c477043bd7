import { $, connect } from "./live.js";

const POINTS = 120; // one minute
const STEP = 0.5; // seconds between two points

const times = Array.from({ length: POINTS }, (_, i) => (i - POINTS + 1) * STEP); // -59.5 ... 0 seconds
const busy = new Array(POINTS).fill(null);
const system = new Array(POINTS).fill(null);

const graph = $("graph");
let plot = null;

/** Draw anew, in the size and the colours of the moment. */
function draw() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  const line = { width: 2.5, spanGaps: false, points: { show: false }, paths: window.uPlot.paths.spline() };
  plot?.destroy();
  plot = new window.uPlot(
    {
      width: graph.clientWidth,
      height: graph.clientHeight,
      legend: { show: false },
      cursor: { show: false },
      padding: [12, 22, 0, 0],
      scales: { x: { time: false, range: [times[0], 0] }, y: { range: [0, 100] } },
      axes: [
        { ...axis, values: (_, seconds) => seconds.map((s) => (s ? `${s} s` : "now")), grid: { show: false }, size: 34 },
        { ...axis, size: 52, splits: () => [0, 25, 50, 75, 100], values: (_, percent) => percent.map((p) => `${p} %`) },
      ],
      series: [
        {},
        { ...line, label: "busy", stroke: color("--accent"), fill: color("--accent-wash") },
        { ...line, label: "system", stroke: color("--second"), width: 2 },
      ],
    },
    [times, busy, system],
    graph,
  );
}

function push(message) {
  busy.push(message.point);
  busy.shift();
  system.push(message.system);
  system.shift();
  plot.setData([times, busy, system]);

  const known = busy.filter((point) => point !== null);
  const average = known.reduce((sum, point) => sum + point, 0) / known.length;
  $("now").textContent = percent(message.point);
  $("peak").textContent = percent(Math.max(...known));
  $("average").textContent = percent(average);
  $("cores").textContent = message.cores;
  graph.dataset.points = known.length;
}

const percent = (value) => `${Math.round(value)} %`;

new ResizeObserver(draw).observe(graph);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();

connect("/cpu").on("message", (message) => {
  if (message.type === "showdata") push(message);
});
