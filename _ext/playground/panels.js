// Numbers, short curves, and the trail in the plane of uniformity and tolerance, in SVG and HTML.

const SVG = "http://www.w3.org/2000/svg";
const QUANTITIES = [
  ["loss", "loss", (x) => x.toFixed(3)],
  ["uniformity", "uniformity", (x) => x.toFixed(2)],
  ["tolerance", "tolerance", (x) => x.toFixed(2)],
  ["alignment", "alignment", (x) => x.toFixed(3)],
  ["accuracy", "neighbours’ accuracy", (x) => (100 * x).toFixed(1) + " %"],
  ["effective", "effective negatives", (x) => x.toFixed(1)],
];
const MOST = 400; // moments that a history keeps before it drops every second one
// The uniformity of evenly spread points on the circle and on the sphere: contrastlib.metrics.uniformity_ceiling(d).
const CEILING = { 2: 1.5753, 3: 2.0809 };

/** The numbers as text, with a minus sign and not a hyphen; a dash where there is none. */
function shown(value, format) {
  return Number.isFinite(value) ? format(value).replace(/^-(?=[0.]+$)/, "").replace("-", "−") : "–";
}

/** A new SVG element with attributes. */
function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Adds a moment to a history, and thins it out when it grows long. */
function remember(history, step, numbers) {
  history.push({ step, ...numbers });
  if (history.length <= MOST) return history;
  return history.filter((_, i) => i % 2 === 0 || i === history.length - 1);
}

/** One table: a row for each quantity, and for each learner its number and its curve. */
function buildNumbers(table, learners) {
  table.tHead.replaceChildren();
  table.tBodies[0].replaceChildren();
  const head = table.tHead.insertRow();
  head.append(headCell("measured", "col"));
  learners.forEach((_, k) => {
    const cell = headCell("", "col");
    const letter = document.createElement("b");
    letter.className = "pg-k" + k;
    letter.textContent = LETTERS[k];
    cell.append(letter);
    head.append(cell);
  });
  return QUANTITIES.map(([name, label]) => {
    const row = table.tBodies[0].insertRow();
    row.append(headCell(label, "row"));
    return learners.map((_, k) => {
      const cell = row.insertCell();
      const value = document.createElement("span");
      value.dataset.quantity = name;
      const svg = drawn("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" });
      const line = drawn("polyline", { class: "pg-line pg-k" + k });
      svg.append(line);
      cell.append(value, svg);
      return { value, line };
    });
  });
}

function headCell(text, scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}

/** Writes the newest numbers, and draws each quantity's curves on one scale for all learners. */
function showNumbers(cells, histories) {
  QUANTITIES.forEach(([name, , format], q) => {
    const all = histories.flatMap((history) => history.map((moment) => moment[name])).filter(Number.isFinite);
    const least = Math.min(...all);
    const span = Math.max(...all) - least || 1;
    const last = Math.max(...histories.map((history) => history.at(-1).step), 1);
    histories.forEach((history, k) => {
      const newest = history.at(-1)[name];
      cells[q][k].value.textContent = shown(newest, format);
      cells[q][k].value.dataset.value = newest;
      const points = history.filter((moment) => Number.isFinite(moment[name]));
      const text = points.map((moment) => {
        const x = (100 * moment.step) / last;
        return `${x.toFixed(1)},${(22 - (20 * (moment[name] - least)) / span).toFixed(1)}`;
      });
      cells[q][k].line.setAttribute("points", text.join(" "));
    });
  });
}

const TRAIL = { left: 54, right: 348, top: 14, bottom: 250, most: 2.2, least: -0.1 };

/** Where a pair of uniformity and tolerance lies in the drawing. */
function trailPlace(uniform, tolerant) {
  const { left, right, top, bottom, most, least } = TRAIL;
  const across = Math.min(1, Math.max(0, uniform / most));
  const up = Math.min(1, Math.max(0, (tolerant - least) / (1 - least)));
  return [left + (right - left) * across, bottom - (bottom - top) * up];
}

function textAt(x, y, text, className) {
  const element = drawn("text", { x, y, class: className ?? "" });
  element.textContent = text;
  return element;
}

/** The frame, its ticks, and an empty trail with a dot and a letter for each learner. */
function buildTrail(svg, learners, d) {
  const { left, right, top, bottom } = TRAIL;
  svg.replaceChildren(drawn("path", { class: "pg-frame", d: `M${left} ${top}V${bottom}H${right}` }));
  for (const value of [0, 0.5, 1, 1.5, 2]) {
    const [x] = trailPlace(value, 0);
    svg.append(drawn("path", { class: "pg-frame", d: `M${x} ${bottom}v5` }), textAt(x, bottom + 18, value, "pg-mid"));
  }
  for (const value of [0, 0.5, 1]) {
    const [, y] = trailPlace(0, value);
    svg.append(drawn("path", { class: "pg-frame", d: `M${left} ${y}h-5` }), textAt(left - 9, y + 4, value, "pg-end"));
  }
  const [x] = trailPlace(CEILING[d], 0);
  svg.append(drawn("path", { class: "pg-ceiling", d: `M${x} ${top}V${bottom}` }));
  svg.append(textAt(x - 5, bottom - 8, "most even", "pg-end"));
  svg.append(textAt((left + right) / 2, bottom + 38, "uniformity →", "pg-mid"));
  const side = textAt(0, 0, "tolerance →", "pg-mid");
  side.setAttribute("transform", `translate(12 ${(top + bottom) / 2}) rotate(-90)`);
  svg.append(side);
  return learners.map((_, k) => {
    const line = drawn("polyline", { class: "pg-line pg-k" + k });
    const disc = drawn("circle", { class: "pg-disc pg-k" + k, r: 5 });
    const letter = textAt(0, 0, LETTERS[k], "pg-mid pg-letter pg-k" + k);
    svg.append(line, disc, letter);
    return { line, disc, letter };
  });
}

/** Draws the trails. A dot lies where its numbers say; only letters that would cover each other are moved apart. */
function showTrail(marks, histories) {
  const taken = [];
  histories.forEach((history, k) => {
    const { line, disc, letter } = marks[k];
    const points = history.map((moment) => trailPlace(moment.uniformity, moment.tolerance));
    line.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
    const [x, y] = points.at(-1);
    disc.setAttribute("cx", x);
    disc.setAttribute("cy", y);
    let above = y - 9;
    while (taken.some((other) => Math.hypot(other[0] - x, other[1] - above) < 14)) above -= 3;
    taken.push([x, above]);
    letter.setAttribute("x", x);
    letter.setAttribute("y", above);
  });
}
