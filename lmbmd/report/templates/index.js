// The index page: data, Student's t, the filter of the table, and the comparison of two state points.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...children) => {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const titleOf = (point) => `${point.title}, ${+point.T.toPrecision(6)} K`;
const option = (value, text) => el("option", { value }, text);

// --- numbers ---------------------------------------------------------------------------------------------------
DATA.points.forEach((point) => { point.of = new Map(point.cells.map((cell) => [cell[0], cell])); });

// One number of one state point; `error` is null where it is not to be relied on, and `doubt` says why.
function measured(point, k) {
  const cell = point.of.get(k);
  if (!cell || cell[1] === null) return null;
  const [, value, error, n, d] = cell, doubt = DATA.doubts[d];
  const steady = doubt === "never changed" && n >= 3;
  if (steady || error === 0) return { value, error: 0, freedom: Infinity, doubt: "", raw: 0 };
  if (doubt || error === null) return { value, error: null, raw: error, doubt: doubt || "no error" };
  // As lmbmd.literature.judge.degrees_of_freedom: the error of a time comes from few groups, however many events it has.
  const freedom = Math.min(Math.max(n / 3, 1), DATA.numbers[k].unit === "ps" ? 2 : Infinity);
  return { value, error, freedom, doubt: "", raw: error };
}

function rounded(value, places) {
  if (places >= 0) return value.toFixed(Math.min(places, 12)).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const unit = 10 ** -places;
  return String(Math.round(value / unit) * unit).replace("-", "−");
}
// The error keeps one digit, or two between 1.0 and 1.9; the value ends where it does (as everywhere in lmbmd).
function shown(value, error, sure = true) {
  if (value === null || !isFinite(value)) return "–";
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
const text = (m) => (m === null ? "–" : m.error === null ? (m.raw ? shown(m.value, m.raw, false) : shown(m.value, null)) : shown(m.value, m.error));

// --- Student's t: regularised incomplete beta function by its continued fraction (Lentz) -------------------------
function logGamma(x) {
  const c = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];
  const t = x + 5.5, sum = c.reduce((s, ci, i) => s + ci / (x + 1 + i), 1.000000000190015);
  return (x + 0.5) * Math.log(t) - t + Math.log((2.5066282746310005 * sum) / x);
}
function incompleteBeta(a, b, x) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  let c = 1, d = 1 / (1 - ((a + b) * x) / (a + 1)), f = d;
  for (let m = 1; m < 300; m++) {
    for (const u of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
      d = 1 / (1 + u * d); c = 1 + u / c; f *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-12) break;
  }
  return front * f;
}
// Two-sided probability of |t| or more; the normal distribution is its limit at many degrees of freedom.
const pOfT = (t, freedom) => { const v = Math.min(freedom, 1e6); return incompleteBeta(v / 2, 0.5, v / (v + t * t)); };
function quantile(level, freedom) {
  let low = 0, high = 1e3;
  for (let i = 0; i < 60; i++) { const t = (low + high) / 2; if (pOfT(t, freedom) > 1 - level) low = t; else high = t; }
  return low;
}
// Difference b − a of two independent boxes, with the degrees of freedom of Welch and Satterthwaite.
function difference(a, b) {
  const value = b.value - a.value;
  if (a.error === null || b.error === null) return { value, error: null, doubt: [...new Set([a.doubt, b.doubt])].filter(Boolean).join("; ") };
  const variance = a.error ** 2 + b.error ** 2, error = Math.sqrt(variance);
  if (!error) return { value, error: 0, freedom: Infinity, p: value === 0 ? 1 : 0, t: value === 0 ? 0 : Infinity * Math.sign(value), half: 0 };
  const part = (m) => (m.error ? m.error ** 4 / m.freedom : 0), freedom = variance ** 2 / (part(a) + part(b));
  return { value, error, freedom, p: pOfT(Math.abs(value) / error, freedom), t: value / error, half: error * quantile(0.95, freedom) };
}
function holm(ps) {
  const order = ps.map((p, i) => [p, i]).filter(([p]) => p !== undefined).sort((x, y) => x[0] - y[0]);
  const out = ps.map(() => undefined);
  order.reduce((least, [p, i], k) => (out[i] = Math.min(1, Math.max(least, p * (order.length - k)))), 0);
  return out;
}

// --- the filter of the table ------------------------------------------------------------------------------------
const rows = [...document.querySelectorAll("#comparison tbody tr")];
rows.forEach((row, i) => { row.point = DATA.points[i]; });
function fillSelect(select, values, name) {
  for (const value of values) select.append(option(value, name ? name(value) : value));
}
const unique = (list) => [...new Set(list)];
fillSelect(byId("filter-T"), unique(DATA.points.map((p) => p.T)).sort((a, b) => a - b), (T) => `${+T} K`);
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
byId("pair-b").value = partner > 0 ? partner : Math.min(1, DATA.points.length - 1);
// Doubts of two numbers in one line: those about independent samples as one.
function brief(doubt) {
  const few = [...doubt.matchAll(/error not reliable \(([\d.]+) independent samples\)/g)].map((m) => m[1]);
  const others = doubt.split("; ").filter((d) => !d.startsWith("error not reliable"));
  return [few.length ? `error not reliable (independent samples: ${few.join(", ")})` : "", ...others].filter(Boolean).join("; ");
}
function forest(d) {
  if (d.error === null) return "";
  const x = (t) => 60 + 5 * Math.max(-11, Math.min(11, t)), q = d.error ? d.half / d.error : 0;
  const mark = el("svg", { width: 120, height: 14, viewBox: "0 0 120 14", "aria-hidden": "true" });
  mark.append(el("line", { x1: 60, x2: 60, y1: 0, y2: 14, stroke: "#9aa5b1" }));
  if (d.error) mark.append(el("line", { x1: x(d.t - q), x2: x(d.t + q), y1: 7, y2: 7, stroke: "#1f2933", "stroke-width": 1.5 }));
  const ink = d.judged ? "#0f5c8c" : "#9aa5b1", far = Math.abs(d.t) > 11 ? Math.sign(d.t) : 0;
  mark.append(far ? el("path", { d: `M${x(d.t) + 4 * far} 7l${-8 * far} -4v8z`, fill: ink }) : el("circle", { cx: x(d.t), cy: 7, r: 3, fill: ink }));
  return mark;
}
const small = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2));
function showPair() {
  const [a, b] = ["pair-a", "pair-b"].map((id) => DATA.points[+byId(id).value]);
  const all = byId("pair-all").checked, only = byId("pair-only").checked;
  let list = DATA.numbers.map((number, k) => ({ number, a: measured(a, k), b: measured(b, k) }))
    .filter((row) => row.a && row.b && (all || row.number.main));
  // With one solvent in the bottle, "all solvents" and that solvent are one number: it counts once.
  const seen = new Set(), same = (row) => JSON.stringify([row.number.name, row.a.value, row.a.raw, row.b.value, row.b.raw]);
  list = list.filter((row) => !seen.has(same(row)) && seen.add(same(row)));
  for (const row of list) row.d = difference(row.a, row.b);
  const corrected = holm(list.map((row) => row.d.p));
  list.forEach((row, i) => { row.holm = corrected[i]; row.d.judged = corrected[i] < 0.05; });
  const told = list.filter((row) => row.d.judged).length, can = corrected.filter((p) => p !== undefined).length;
  if (only) list = list.filter((row) => row.d.judged);
  const words = [];
  if (a === b) words.push("A and B are the same state point.");
  if (a.T !== b.T) words.push(`Their temperatures differ: ${+a.T} K and ${+b.T} K.`);
  if (a.model !== b.model) words.push(`They were simulated with other models: ${a.model}, and ${b.model}.`);
  for (const p of unique([a, b])) if (p.tone === "bad" || p.verdict === "unknown") words.push(`${titleOf(p)}: ${p.verdict}. Do not quote its numbers.`);
  byId("pair-words").textContent = `${told} of ${can} differences that can be told are significant. ${words.join(" ")}`;
  const body = byId("pair-body");
  body.replaceChildren(...list.map((row) => {
    const { number, d } = row, unit = number.unit ? ` (${number.unit})` : "";
    const verdict = d.error === null ? `cannot be told: ${brief(d.doubt)}` : d.judged ? (d.value > 0 ? "B is higher" : "B is lower") : "no difference shown";
    const cell = (label, content, cls = "num") => el("td", { class: cls, "data-label": label }, ...[content].flat());
    return el("tr", { class: d.judged ? "told" : "" },
      el("th", { scope: "row" }, number.label, el("span", { class: "of" }, unit)),
      cell("A", text(row.a)), cell("B", text(row.b)),
      cell("B − A", d.error === null ? shown(d.value, 0.1 * Math.abs(d.value), false) : shown(d.value, d.error)),
      cell("in errors", forest(d)),
      cell("p", d.p === undefined ? "–" : small(row.holm)),
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
