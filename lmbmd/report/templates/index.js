// The index page: data, the filter of the table, and the comparison of two state points.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...children) => {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const kelvin = (T) => (T === null ? "" : `${+T.toPrecision(6)} K`);  // null: nobody told
const titleOf = (point) => [point.title, kelvin(point.T)].filter(Boolean).join(", ");
const option = (value, text) => el("option", { value }, text);

// --- numbers ---------------------------------------------------------------------------------------------------
DATA.points.forEach((point) => { point.of = new Map(point.cells.map((cell) => [cell[0], cell])); });

// One number of one state point; `error` is null where it is not to be relied on, and `doubt` says why.
function measured(point, k) {
  const cell = point.of.get(k);
  if (!cell || cell[1] === null) return null;
  const [, value, error, d] = cell, sure = d === 0 && error !== null;
  return { value, error: sure ? error : null, raw: error, doubt: sure ? "" : DATA.doubts[d] || "no error", short: point.tone === "bad" };
}

function rounded(value, places) {
  if (places >= 0) return value.toFixed(Math.min(places, 12)).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const unit = 10 ** -places;
  return String(Math.round(value / unit) * unit).replace("-", "−");
}
const superscript = (n) => [...String(n)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
// The error keeps one digit, or two between 1.0 and 1.9; the value ends where it does (as everywhere in lmbmd).
function shown(value, error, sure = true) {
  if (value === null || !isFinite(value)) return "–";
  const size = Math.max(Math.abs(value), error || 0), tens = Math.floor(Math.log10(size));
  if (size && (tens >= 6 || tens < -4)) {
    const text = shown(value / 10 ** tens, error && error / 10 ** tens, sure);
    return `${text.includes("±") ? `(${text})` : text} × 10${superscript(tens)}`;
  }
  if (!error) {
    const places = value === 0 || Number.isInteger(value) ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)));
    return error === null ? `${rounded(value, Math.min(places, 6))} ± ?` : rounded(value, Math.min(places, 6));
  }
  let exponent = Math.floor(Math.log10(error)), leading = error / 10 ** exponent;
  if (leading >= 9.5) { exponent += 1; leading = 1; }
  const places = (leading < 1.95 ? 1 : 0) - exponent;
  if (sure) return `${rounded(value, places)} ± ${rounded(error, places)}`;
  const most = value === 0 ? places : 1 - Math.floor(Math.log10(Math.abs(value)));
  return `≈ ${rounded(value, Math.min(places, most))}`;
}
const text = (m) => (m === null ? "–" : m.error === null ? (m.raw || m.short ? shown(m.value, m.raw || 0.1 * Math.abs(m.value), false) : shown(m.value, null)) : shown(m.value, m.error));

// --- every pair of state points, compared when the page was made --------------------------------------------------
const N = DATA.points.length, PAIRS = (N * (N - 1)) / 2;
let table = null;  // p of all numbers, p of the main ones, half widths: see lmbmd.report.pages.comparison
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  table = new Uint8Array(await new Response(stream).arrayBuffer());
}
// What is known of number k in a pair: the place of its p-value in DATA.pairs.p, and half of its 95 % interval in errors.
function compared(i, j, k, all) {
  if (!table || i === j) return { place: 1, half: 0 };
  const [a, b] = i < j ? [i, j] : [j, i], pair = (a * (2 * N - a - 1)) / 2 + b - a - 1, size = DATA.numbers.length * PAIRS;
  return { place: table[(all ? 0 : size) + k * PAIRS + pair], half: table[2 * size + k * PAIRS + pair] / 10 };
}
// Difference b − a of number k, with what was found of it.
function difference(i, j, k, a, b, all) {
  const { place, half } = compared(i, j, k, all), value = b.value - a.value, sure = a.error !== null && b.error !== null;
  const error = sure ? Math.hypot(a.error, b.error) : null, t = value === 0 ? 0 : value / error;
  const doubt = unique([a.doubt, b.doubt]).filter(Boolean).join("; ") || "not compared";
  return { value, error, t, half, place, doubt, tested: place > 1, judged: place > 1 && place <= DATA.pairs.told };
}

// --- the filter of the table ------------------------------------------------------------------------------------
const rows = [...document.querySelectorAll("#comparison tbody tr")];
rows.forEach((row, i) => { row.point = DATA.points[i]; });
function fillSelect(select, values, name) {
  for (const value of values) select.append(option(value, name ? name(value) : value));
}
const unique = (list) => [...new Set(list)];
const temperatures = unique(DATA.points.map((p) => p.T)).filter((T) => T !== null).sort((a, b) => a - b);
fillSelect(byId("filter-T"), temperatures, kelvin);
fillSelect(byId("filter-verdict"), unique(DATA.points.map((p) => p.verdict)));
fillSelect(byId("sort-number"), DATA.numbers.map((_, k) => k).filter((k) => DATA.numbers[k].main), (k) => withUnit(DATA.numbers[k]));
function withUnit(number) { return number.unit ? `${number.label} (${number.unit})` : number.label; }
function applyFilter() {
  const words = byId("filter-text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const T = byId("filter-T").value, verdict = byId("filter-verdict").value;
  let count = 0;
  for (const row of rows) {
    const p = row.point, hay = `${p.name} ${p.title} ${p.base} ${p.diluents} ${p.model}`.toLowerCase();
    row.hidden = !(words.every((w) => hay.includes(w)) && (!T || p.T === +T) && (!verdict || p.verdict === verdict));
    count += !row.hidden;
  }
  byId("filter-count").textContent = `${count} of ${rows.length} shown`;
}
for (const id of ["filter-text", "filter-T", "filter-verdict"]) byId(id).addEventListener("input", applyFilter);
function sortByNumber() {
  const k = byId("sort-number").value, down = byId("sort-down").checked, body = rows[0]?.parentNode;
  if (k === "") return;
  for (const head of document.querySelectorAll("#comparison th[aria-sort]")) head.removeAttribute("aria-sort");
  const key = (row) => measured(row.point, +k)?.value ?? null;
  const order = [...rows].sort((x, y) => {
    const [a, b] = [key(x), key(y)];
    return a === null || b === null ? (a === null) - (b === null) : down ? b - a : a - b;
  });
  body.append(...order);
}
for (const id of ["sort-number", "sort-down"]) byId(id).addEventListener("input", sortByNumber);

// --- two state points side by side ---------------------------------------------------------------------------------
for (const id of ["pair-a", "pair-b"]) fillSelect(byId(id), DATA.points.map((_, i) => i), (i) => titleOf(DATA.points[i]));
const partner = DATA.points.findIndex((p, i) => i > 0 && p.T === DATA.points[0].T);
byId("pair-b").value = partner > 0 ? partner : 1;
function forest(d) {
  if (d.error === null || (!d.error && !d.tested)) return "";
  const x = (t) => 60 + 5 * Math.max(-11, Math.min(11, t)), q = d.half;
  const mark = el("svg", { width: 120, height: 14, viewBox: "0 0 120 14", "aria-hidden": "true" });
  mark.append(el("line", { x1: 60, x2: 60, y1: 0, y2: 14, stroke: "#9aa5b1" }));
  if (d.error) mark.append(el("line", { x1: x(d.t - q), x2: x(d.t + q), y1: 7, y2: 7, stroke: "currentColor", "stroke-width": 1.5 }));
  const ink = d.judged ? "#0f5c8c" : "#9aa5b1", far = Math.abs(d.t) > 11 ? Math.sign(d.t) : 0;
  mark.append(far ? el("path", { d: `M${x(d.t) + 4 * far} 7l${-8 * far} -4v8z`, fill: ink }) : el("circle", { cx: x(d.t), cy: 7, r: 3, fill: ink }));
  return mark;
}
function showPair() {
  if (DATA.pairs && !table) return;
  const [i, j] = ["pair-a", "pair-b"].map((id) => +byId(id).value), [a, b] = [DATA.points[i], DATA.points[j]];
  const all = byId("pair-all").checked, only = byId("pair-only").checked;
  let list = DATA.numbers.map((number, k) => ({ number, k, a: measured(a, k), b: measured(b, k) }))
    .filter((row) => row.a && row.b && (all || row.number.main));
  for (const row of list) row.d = difference(i, j, row.k, row.a, row.b, all);
  list = list.filter((row) => row.d.place > 0);
  const told = list.filter((row) => row.d.judged).length, can = list.filter((row) => row.d.tested).length;
  if (only) list = list.filter((row) => row.d.judged);
  const words = DATA.pairs ? [] : [`This page has too many state points (${N}) to hold a test of every pair.`];
  if (a === b) words.push("A and B are the same state point.");
  if (a !== b && (a.T === null || b.T === null)) words.push("Whether they have the same temperature is not known.");
  else if (a.T !== b.T) words.push(`Their temperatures differ: ${kelvin(a.T)} and ${kelvin(b.T)}.`);
  if (a !== b && !(a.model && b.model)) words.push("Whether they have the same force field is not known.");
  else if (a.model !== b.model) words.push(`They were simulated with other models: ${a.model}, and ${b.model}.`);
  for (const p of unique([a, b])) if (p.tone === "bad" || p.verdict === "unknown") words.push(`${titleOf(p)}: ${p.verdict}. Do not quote its numbers.`);
  const untold = unique([a, b]).some((p) => p.tone === "bad");
  if (!untold) words.unshift(`${told} of ${can} differences that can be tested are significant.`);
  else words.push("Their difference is not tested: the error bar of a run that is too short is not one.");
  byId("pair-words").textContent = words.join(" ");
  const body = byId("pair-body");
  body.replaceChildren(...list.map((row) => {
    const { number, d } = row, unit = number.unit ? ` (${number.unit})` : "";
    const verdict = untold ? "" : !d.tested ? `not tested: ${d.doubt}` : d.judged ? (d.value > 0 ? "B is higher" : "B is lower") : "no significant difference";
    const cell = (label, content, cls = "num") => el("td", { class: cls, "data-label": label }, ...[content].flat());
    return el("tr", { class: d.judged ? "told" : "" },
      el("th", { scope: "row" }, number.label, el("span", { class: "of" }, unit)),
      cell("A", text(row.a)), cell("B", text(row.b)),
      cell("B − A", d.error === null ? shown(d.value, 0.1 * Math.abs(d.value), false) : shown(d.value, d.error)),
      cell("in errors", forest(d)),
      cell("p", d.tested ? DATA.pairs.p[d.place] : untold ? "" : "–"),
      cell("verdict", verdict, ""));
  }));
  if (!list.length) body.replaceChildren(el("tr", {}, el("td", { colspan: 7 }, "Nothing to show.")));
}
for (const id of ["pair-a", "pair-b", "pair-all", "pair-only"]) byId(id).addEventListener("input", showPair);
byId("pair-swap").addEventListener("click", () => {
  const [a, b] = [byId("pair-a"), byId("pair-b")];
  [a.value, b.value] = [b.value, a.value];
  showPair();
});
