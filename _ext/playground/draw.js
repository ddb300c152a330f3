// Pictures on canvases: the plane, the spheres, and the bar of shares. `theme` holds the colours of the page.

/** Makes the canvas as sharp as the screen, clears it, and gives its context, whose units are CSS pixels. */
function prepare(canvas) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const { width, height } = canvas.box;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Adds the mark of a class to the path: disc, square, triangle, diamond. */
function addMark(context, label, x, y, r) {
  if (label === 0) {
    context.moveTo(x + r, y);
    context.arc(x, y, r, 0, 2 * Math.PI);
  } else if (label === 1) {
    context.rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r);
  } else if (label === 2) {
    context.moveTo(x, y - 1.2 * r);
    context.lineTo(x + 1.1 * r, y + 0.8 * r);
    context.lineTo(x - 1.1 * r, y + 0.8 * r);
    context.closePath();
  } else {
    context.moveTo(x, y - 1.3 * r);
    context.lineTo(x + 1.3 * r, y);
    context.lineTo(x, y + 1.3 * r);
    context.lineTo(x - 1.3 * r, y);
    context.closePath();
  }
}

/** Fills the marks of one class that `keep` keeps, as one path. */
function fillMarks(context, colour, labels, label, places, radius, keep) {
  context.beginPath();
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === label && keep(places[i])) addMark(context, label, places[i][0], places[i][1], radius);
  }
  context.fillStyle = colour;
  context.fill();
}

/** The points that `keep` keeps, class by class, on a pale rim. places: [x, y, depth] of each point. */
function drawMarks(context, theme, labels, places, radius, keep) {
  theme.classes.forEach((colour, label) => {
    // First all rims, or a crowd would show nothing else. Filling twice costs less than drawing outlines.
    fillMarks(context, theme.background, labels, label, places, radius + 0.8, keep);
    fillMarks(context, colour, labels, label, places, radius, keep);
  });
}

/** A ring around the anchor, readable on any ground. */
function drawRing(context, theme, [x, y]) {
  for (const [colour, width] of [[theme.background, 5], [theme.ink, 2.25]]) {
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

/** An arrow from one place to another: solid for pull, dashed for push. */
function drawArrow(context, theme, [x0, y0], [x1, y1], dashed) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 2) return;
  const angle = Math.atan2(y1 - y0, x1 - x0);
  const head = Math.min(8, length);
  for (const [colour, width] of [[theme.background, 6], [theme.ink, 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineCap = "round";
    context.setLineDash(dashed ? [3, 5] : []);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(x1 - head * Math.cos(angle - 0.5), y1 - head * Math.sin(angle - 0.5));
    context.lineTo(x1, y1);
    context.lineTo(x1 - head * Math.cos(angle + 0.5), y1 - head * Math.sin(angle + 0.5));
    context.stroke();
  }
}

/** The points in the plane, the anchor, and the disc from which its views are drawn. Returns the points' places. */
function drawPlane(canvas, theme, world, anchor) {
  const context = prepare(canvas);
  const { width } = canvas.box;
  const scale = width / 2.5;
  const { points, labels } = world.data;
  const places = Array.from(labels, (_, i) => {
    return [width / 2 + scale * points[2 * i], width / 2 - scale * points[2 * i + 1]];
  });
  drawMarks(context, theme, labels, places, 3.2, () => true);
  const [x, y] = places[anchor];
  context.beginPath();
  context.arc(x, y, Math.max(1, scale * world.settings.shift), 0, 2 * Math.PI);
  context.strokeStyle = theme.ink;
  context.lineWidth = 1;
  context.setLineDash([2, 3]);
  context.stroke();
  context.setLineDash([]);
  drawRing(context, theme, places[anchor]);
  return places;
}

/** One great circle through the two unit vectors a and b, its far half faint. */
function drawGreatCircle(context, theme, turn, place, a, b) {
  for (const front of [false, true]) {
    context.beginPath();
    let drawing = false;
    for (let k = 0; k <= 60; k++) {
      const angle = (k / 60) * 2 * Math.PI;
      const [x, y, depth] = seen(a.map((_, c) => a[c] * Math.cos(angle) + b[c] * Math.sin(angle)), turn);
      if (depth >= 0 !== front) {
        drawing = false;
        continue;
      }
      const [px, py] = place([x, y]);
      if (drawing) context.lineTo(px, py);
      else context.moveTo(px, py);
      drawing = true;
    }
    context.globalAlpha = front ? 0.45 : 0.15;
    context.lineWidth = 1;
    context.strokeStyle = theme.line;
    context.stroke();
  }
  context.globalAlpha = 1;
}

const AXES = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
const LONGEST = 0.45; // of the two arrows, in radii
const LINES = 12; // to the negatives that take most of the push

/** The empty sphere, or the circle. */
function drawGround(context, theme, d, turn, place, middle, radius) {
  context.beginPath();
  context.arc(middle, middle, radius, 0, 2 * Math.PI);
  context.fillStyle = theme.soft;
  if (d === 3) context.fill();
  context.strokeStyle = theme.line;
  context.lineWidth = 1;
  context.stroke();
  if (d === 2) return;
  drawGreatCircle(context, theme, turn, place, AXES[0], AXES[1]);
  drawGreatCircle(context, theme, turn, place, AXES[1], AXES[2]);
  drawGreatCircle(context, theme, turn, place, AXES[0], AXES[2]);
}

/** Lines from the anchor to the negatives that take most of the push, as wide as their share. */
function drawShares(context, theme, places, anchor, shares) {
  const order = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]).slice(0, LINES);
  context.strokeStyle = theme.ink;
  context.lineCap = "round";
  for (const j of order) {
    if (shares[j] < 0.005) continue;
    context.globalAlpha = 0.55;
    context.lineWidth = 0.75 + 7 * shares[j];
    context.beginPath();
    context.moveTo(places[anchor][0], places[anchor][1]);
    context.lineTo(places[j][0], places[j][1]);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/**
 * One learner's embeddings z [N, d], with what its anchor feels. Returns the points' places, [x, y, depth].
 * On the circle the classes lie on circles of their own, a little apart, or they would hide each other.
 */
function drawSphere(canvas, theme, world, z, turn, anchor, forces) {
  const context = prepare(canvas);
  const { d } = world.settings;
  const { labels } = world.data;
  const middle = canvas.box.width / 2;
  const radius = 0.9 * middle;
  const place = ([x, y]) => [middle + radius * x, middle - radius * y];
  drawGround(context, theme, d, turn, place, middle, radius);
  const places = Array.from(labels, (label, i) => {
    const ring = d === 2 ? 1 - 0.09 * label : 1;
    const [x, y, depth] = seen(z.subarray(i * d, i * d + d), turn);
    return [...place([ring * x, ring * y]), depth];
  });
  const size = Math.max(2, Math.min(3.4, radius / 34));
  context.globalAlpha = 0.28;
  drawMarks(context, theme, labels, places, 0.85 * size, (at) => at[2] < 0);
  context.globalAlpha = 1;
  drawMarks(context, theme, labels, places, size, (at) => at[2] >= 0);
  drawShares(context, theme, places, anchor, forces.shares);
  // Three times as long as they are, or less where one would be too long; both by the same factor.
  const stretch = Math.min(3, LONGEST / Math.max(Math.hypot(...forces.pull), Math.hypot(...forces.push), 1e-9));
  for (const [force, dashed] of [[forces.push, true], [forces.pull, false]]) {
    const [x, y] = seen(force, turn);
    const [ax, ay] = places[anchor];
    drawArrow(context, theme, [ax, ay], [ax + radius * stretch * x, ay - radius * stretch * y], dashed);
  }
  drawRing(context, theme, places[anchor]);
  return places;
}

/** Who takes the push: one stretch a negative in its class's colour; the anchor's class first, the largest first. */
function drawBar(canvas, theme, labels, anchor, shares) {
  const context = prepare(canvas);
  const { width, height } = canvas.box;
  const turn = (j) => (labels[j] === labels[anchor] ? -1 : labels[j]);
  const order = Array.from(shares.keys()).sort((a, b) => turn(a) - turn(b) || shares[b] - shares[a]);
  let x = 0;
  for (const j of order) {
    const wide = shares[j] * width;
    context.fillStyle = theme.classes[labels[j]];
    context.fillRect(x, 0, wide > 3 ? wide - 1 : wide + 0.3, height);
    x += wide;
  }
}
