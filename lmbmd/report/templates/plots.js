// The index page: trends, and the scatter plot with its Pareto front. Drawn in pixels of the page, so that text keeps
// its size at every width; drawn again when the width changes.
const INKS = ["#0f5c8c", "#c2410c", "#088466", "#6f1f66", "#b8860b", "#5b4be0", "#7f1d1d", "#365993", "#0ea35a", "#6b7785"];
const SHAPES = ["circle", "square", "diamond", "triangle"];

function ticks(low, high, most) {
  const raw = (high - low) / most, base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * base).find((s) => s >= raw * 0.999);
  const tens = Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high)))), tiny = tens < -4, scale = tiny ? 10 ** tens : 1;
  const places = Math.max(0, -Math.floor(Math.log10(step / scale) + 1e-9)), list = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) list.push([v, rounded(v / scale, Math.min(places, 8)) + (tiny ? ` × 10${superscript(tens)}` : "")]);
  return list;
}
function range(values) {
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) { const pad = Math.abs(low) * 0.1 || 1; low -= pad; high += pad; }
  const pad = 0.06 * (high - low);
  return [low >= 0 && low - pad < 0 ? 0 - pad * 0.3 : low - pad, high + pad];
}
function symbol(shape, x, y, r, attributes) {
  if (shape === "circle") return el("circle", { cx: x, cy: y, r, ...attributes });
  const d = { square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    diamond: `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
    triangle: `M${x} ${y - 1.3 * r}l${1.3 * r} ${2.3 * r}h${-2.6 * r}z` }[shape];
  return el("path", { d, ...attributes });
}
// Marks: {x, y, ex, ey, ink, shape, r, title, href, ring, name}; lines: lists of marks to join.
function plot(holder, { marks, lines = [], front = [], xLabel, yLabel }) {
  const width = Math.max(280, holder.clientWidth), height = Math.round(Math.min(460, Math.max(300, width * 0.52)));
  const right = 14, top = 28, bottom = 50, font = 12;
  const spread = (key, e) => marks.flatMap((m) => [m[key] - (m[e] || 0), m[key] + (m[e] || 0)]);
  const [x0, x1] = range(spread("x", "ex")), [y0, y1] = range(spread("y", "ey"));
  const across = ticks(x0, x1, width < 500 ? 4 : 7), up = ticks(y0, y1, 6);
  const left = Math.max(62, 14 + 6.5 * Math.max(...up.map(([, label]) => label.length)));
  const X = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right), Y = (v) => height - bottom - ((v - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = el("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${yLabel} against ${xLabel}, ${marks.length} points` });
  const write = (x, y, words, more = {}) => el("text", { x, y, "font-size": font, fill: "#52606d", ...more }, words);
  for (const [v, label] of across) svg.append(el("line", { x1: X(v), x2: X(v), y1: top, y2: height - bottom, stroke: "#eef1f4" }), write(X(v), height - bottom + 17, label, { "text-anchor": "middle" }));
  for (const [v, label] of up) svg.append(el("line", { x1: left, x2: width - right, y1: Y(v), y2: Y(v), stroke: "#eef1f4" }), write(left - 7, Y(v) + 4, label, { "text-anchor": "end" }));
  svg.append(el("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, stroke: "#52606d", fill: "none" }));
  svg.append(write((left + width - right) / 2, height - 10, xLabel, { "text-anchor": "middle", fill: "#1f2933" }), write(4, 14, yLabel, { fill: "#1f2933" }));
  for (const line of lines) svg.append(el("path", { d: "M" + line.map((m) => `${X(m.x).toFixed(1)} ${Y(m.y).toFixed(1)}`).join("L"), stroke: line[0].ink, "stroke-opacity": 0.5, fill: "none" }));
  if (front.length > 1) svg.append(el("path", { d: "M" + front.map((m) => `${X(m.x).toFixed(1)} ${Y(m.y).toFixed(1)}`).join("L"), stroke: "#1f2933", "stroke-dasharray": "5 4", fill: "none" }));
  for (const m of marks) {
    const px = X(m.x), py = Y(m.y), link = el("g");
    if (m.ey) link.append(el("path", { d: `M${px} ${Y(m.y - m.ey)}V${Y(m.y + m.ey)}`, stroke: m.ink, fill: "none" }));
    if (m.ex) link.append(el("path", { d: `M${X(m.x - m.ex)} ${py}H${X(m.x + m.ex)}`, stroke: m.ink, fill: "none" }));
    if (m.ring) link.append(el("circle", { cx: px, cy: py, r: m.r + 3.5, fill: "none", stroke: "#1f2933", "stroke-width": 1.5 }));
    const unsure = m.unsure ? { fill: "#ffffff", stroke: m.ink, "stroke-width": 1.5 } : { fill: m.ink, "fill-opacity": 0.85 };
    link.append(symbol(m.shape, px, py, m.r, unsure));
    const anchor = document.createElementNS("http://www.w3.org/2000/svg", "a");
    anchor.setAttribute("href", m.href);
    anchor.setAttribute("aria-label", m.title);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = m.title;
    anchor.append(title, link);
    svg.append(anchor);
  }
  nameMarks(svg, marks.filter((m) => m.name), X, Y, width, height - bottom, write, left, top);
  holder.replaceChildren(svg);
}
// Names beside marks, where they cover neither another name nor a mark or its error; those without room are left to the tooltip.
function nameMarks(svg, named, X, Y, width, floor, write, left, top) {
  const whiskers = (m) => [[X(m.x - m.ex), Y(m.y) - 1, X(m.x + m.ex), Y(m.y) + 1], [X(m.x) - 1, Y(m.y + m.ey), X(m.x) + 1, Y(m.y - m.ey)]];
  const taken = named.flatMap((m) => [[X(m.x) - m.r, Y(m.y) - m.r, X(m.x) + m.r, Y(m.y) + m.r], ...whiskers(m)]);
  for (const m of named) {
    const w = 6.6 * m.name.length, x = X(m.x), y = Y(m.y), gap = m.r + 7;
    const dx = Math.max(gap, X(m.x + m.ex) - x + 4), dy = Math.max(gap, y - Y(m.y + m.ey) + 3);
    const places = [[x + gap, y - 7], [x - gap - w, y - 7], [x - w / 2, y - gap - 14], [x - w / 2, y + gap],
      [x + dx, y - 7], [x - dx - w, y - 7], [x - w / 2, y - dy - 14], [x - w / 2, y + dy]];
    const boxes = places.map(([p, q]) => [p, q, p + w, q + 14]);
    const free = boxes.find((b) => b[0] > left && b[2] < width && b[1] > top && b[3] < floor && taken.every((t) => b[2] < t[0] || b[0] > t[2] || b[3] < t[1] || b[1] > t[3]));
    if (free) { taken.push(free); svg.append(write(free[0], free[1] + 11, m.name, { fill: "#1f2933" })); }
  }
}
function legend(holder, entries) {
  holder.replaceChildren(...entries.map(([ink, shape, name]) => {
    const key = el("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" });
    key.append(symbol(shape, 7, 7, 4.5, { fill: ink }));
    return el("li", {}, key, ` ${name}`);
  }));
}
const usable = DATA.numbers.map((_, k) => k).filter((k) => DATA.points.some((p) => measured(p, k)) && !DATA.numbers[k].name.startsWith("shell_fraction"));
const listed = [...usable.filter((k) => DATA.numbers[k].main), ...usable.filter((k) => !DATA.numbers[k].main)];
const find = (name, species) => DATA.numbers.findIndex((n) => n.name === name && (species === undefined || n.species === species));
function fillNumbers(id, first) {
  const select = byId(id), groups = [["main numbers", true], ["further numbers", false]];
  for (const [label, main] of groups) {
    const group = el("optgroup", { label });
    for (const k of listed.filter((j) => DATA.numbers[j].main === main)) group.append(option(k, withUnit(DATA.numbers[k])));
    if (group.children.length) select.append(group);
  }
  if (first >= 0) select.value = first;
}
const tooShort = (p) => p.tone === "bad" || p.verdict === "unknown";
const told = (k, m) => `${DATA.numbers[k].label} ${text(m)}${DATA.numbers[k].unit ? " " + DATA.numbers[k].unit : ""}`;

// --- trends -----------------------------------------------------------------------------------------------------
for (const [key, label] of DATA.axes) byId("trend-x").append(option(key, label));
fillNumbers("trend-y", [find("cip_agg_fraction_anion"), find("anion_cn", ""), find("anion_cn")].find((k) => k >= 0));
const varies = DATA.axes.find(([key]) => unique(DATA.points.map((p) => p.at[key]).filter((v) => v !== null)).length > 1);
if (varies) byId("trend-x").value = varies[0];
function showTrend() {
  const axis = byId("trend-x").value, k = +byId("trend-y").value, number = DATA.numbers[k];
  // Bottles that differ in nothing but what the axis shows belong to one line.
  const series = (p) => (axis === "temperature" ? p.title : [p.base, axis !== "diluent" && p.diluents && `+ ${p.diluents}`, kelvin(p.T)].filter(Boolean).join(", "));
  const points = DATA.points.filter((p) => p.at[axis] !== null && measured(p, k));
  const keys = unique(points.map(series));
  const style = (p) => { const i = keys.indexOf(series(p)); return { ink: INKS[i % INKS.length], shape: SHAPES[Math.floor(i / INKS.length) % SHAPES.length] }; };
  const marks = points.map((p) => {
    const m = measured(p, k);
    return { ...style(p), x: p.at[axis], y: m.value, ey: m.error || 0, unsure: m.error === null || tooShort(p), r: 4.5, href: p.href, key: series(p), title: `${titleOf(p)}: ${told(k, m)}${m.doubt ? ` (${m.doubt})` : ""}` };
  });
  const joined = axis === "diluent" ? [] : keys.map((key) => marks.filter((m) => m.key === key).sort((a, b) => a.x - b.x)).filter((line) => line.length > 1);
  const xLabel = DATA.axes.find(([key]) => key === axis)[1];
  if (marks.length) plot(byId("trend-plot"), { marks, lines: joined, xLabel, yLabel: withUnit(number) });
  else byId("trend-plot").textContent = "No state point has both numbers.";
  legend(byId("trend-legend"), keys.length > 24 ? [] : keys.map((key) => { const m = marks.find((x) => x.key === key); return [m.ink, m.shape, key]; }));
  byId("trend-words").textContent = `${marks.length} of ${DATA.points.length} state points; bars are one standard error. Open marks: the error is not reliable, or the run is not known to be long enough.${keys.length > 24 ? ` ${keys.length} series: point at a mark to see whose it is.` : ""}`;
}
for (const id of ["trend-x", "trend-y"]) byId(id).addEventListener("input", showTrend);

// --- scatter and Pareto front -------------------------------------------------------------------------------------
fillNumbers("scatter-x", [find("free_solvent_fraction", ""), find("solvent_cn")].find((k) => k >= 0));
fillNumbers("scatter-y", [find("cip_agg_fraction_anion"), find("anion_cn")].find((k) => k >= 0));
fillNumbers("scatter-z", find("cluster_size_weight_average"));
// a is at least as good as b in every goal, and better in one.
const dominates = (a, b) => a.every((v, i) => v >= b[i]) && a.some((v, i) => v > b[i]);
function paretoFront(goals) { return goals.map((g) => !goals.some((other) => dominates(other, g))); }
function showScatter() {
  const [x, y, z] = ["scatter-x", "scatter-y", "scatter-z"].map((id) => +byId(id).value);
  const goals = ["x", "y", "z"].map((id) => +byId(`goal-${id}`).value), T = byId("scatter-T").value;
  const points = DATA.points.filter((p) => (!T || p.T === +T) && [x, y, z].every((k) => measured(p, k)));
  const found = points.map((p) => [x, y, z].map((k) => measured(p, k)));
  const wanted = goals.some(Boolean);
  const best = wanted ? paretoFront(found.map((m) => m.map((v, i) => v.value * goals[i]).filter((_, i) => goals[i]))) : points.map(() => false);
  const sizes = found.map((m) => m[2].value), [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const kind = (p) => [p.base, p.diluents && `+ ${p.diluents}`].filter(Boolean).join(" "), bases = unique(points.map(kind));
  const marks = points.map((p, i) => ({
    x: found[i][0].value, y: found[i][1].value, ex: found[i][0].error || 0, ey: found[i][1].error || 0, href: p.href,
    unsure: found[i].some((m) => m.error === null) || tooShort(p), ink: INKS[bases.indexOf(kind(p)) % INKS.length], shape: SHAPES[Math.floor(bases.indexOf(kind(p)) / INKS.length) % SHAPES.length],
    r: most > least ? 4 + 7 * Math.sqrt((sizes[i] - least) / (most - least)) : 6, ring: best[i],
    name: best[i] || points.length <= 12 ? p.name : "", title: `${titleOf(p)}: ${[x, y, z].map((k, j) => told(k, found[i][j])).join("; ")}${best[i] ? "; on the Pareto front" : ""}`,
  }));
  if (marks.length) plot(byId("scatter-plot"), { marks, front: goals[0] && goals[1] && !goals[2] ? marks.filter((m) => m.ring).sort((a, b) => a.x - b.x) : [], xLabel: withUnit(DATA.numbers[x]), yLabel: withUnit(DATA.numbers[y]) });
  else byId("scatter-plot").textContent = "No state point has all three numbers.";
  legend(byId("scatter-legend"), bases.length > 24 ? [] : bases.map((base, i) => [INKS[i % INKS.length], SHAPES[Math.floor(i / INKS.length) % SHAPES.length], base]));
  const count = best.filter(Boolean).length;
  byId("scatter-words").textContent = `${points.length} of ${DATA.points.length} state points have all three numbers. ${wanted ? `${count} on the Pareto front (ringed): no other is as good in every goal and better in one. The front is that of the mean values; neighbours closer than their errors may change places.` : "Choose a goal to see the Pareto front."} The size of a mark is ${withUnit(DATA.numbers[z])}; open marks: an error is not reliable, or the run is not known to be long enough.`;
  byId("scatter-body").replaceChildren(...points.map((p, i) => [p, i]).filter(([, i]) => best[i]).map(([p, i]) => el("tr", {},
    el("th", { scope: "row" }, el("a", { href: p.href }, p.title), el("small", { class: "remark" }, kelvin(p.T))),
    ...[x, y, z].map((k, j) => el("td", { class: "num", "data-label": DATA.numbers[k].label }, text(found[i][j]))))));
  ["x", "y", "z"].forEach((id, j) => { byId(`front-${id}`).textContent = withUnit(DATA.numbers[[x, y, z][j]]); });
  byId("scatter-front").hidden = !count;
}
fillSelect(byId("scatter-T"), temperatures, kelvin);
for (const id of ["scatter-x", "scatter-y", "scatter-z", "goal-x", "goal-y", "goal-z", "scatter-T"]) byId(id).addEventListener("input", showScatter);

applyFilter();
if (DATA.pairs) {
  byId("pair").setAttribute("aria-busy", "true");
  unpack(DATA.pairs.table).then(showPair, () => {
    byId("pair-words").textContent = "This browser cannot unpack the comparisons (it has no DecompressionStream).";
  }).finally(() => byId("pair").removeAttribute("aria-busy"));
} else showPair();
function drawPlots() { showTrend(); showScatter(); }
drawPlots();
let waiting;
window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawPlots, 150); });
