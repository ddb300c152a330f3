// A sphere of radius 100 in an SVG, seen from (yaw, pitch) in radians; the y of an SVG points down.
const seen = (p, yaw, pitch) => {  // to the right, up, towards the reader
  const c = Math.cos(yaw), s = Math.sin(yaw), q = p[0] * c + p[1] * s;
  return [p[1] * c - p[0] * s, p[2] * Math.cos(pitch) - q * Math.sin(pitch), q * Math.cos(pitch) + p[2] * Math.sin(pitch)];
};
const unseen = (v, yaw, pitch) => {  // and back
  const c = Math.cos(yaw), s = Math.sin(yaw), q = v[2] * Math.cos(pitch) - v[1] * Math.sin(pitch);
  return [q * c - v[0] * s, q * s + v[0] * c, v[1] * Math.cos(pitch) + v[2] * Math.sin(pitch)];
};
const unit = (v) => { const n = Math.hypot(...v); return v.map((x) => x / n); };
const grid = (root, yaw, pitch) => {  // the front and the hidden half of three great circles
  const halves = ["", ""];
  for (const normal of [[1, 0, 0], [0, 1, 0], [0, 0, 1]]) {
    let [a, u, w] = seen(normal, yaw, pitch);
    if (w < 0) [a, u, w] = [-a, -u, -w];
    const h = Math.hypot(a, u) || 1, x = 100 * u / h, y = 100 * a / h;
    halves.forEach((_, k) => {
      halves[k] += "M" + x.toFixed(1) + " " + y.toFixed(1) + "A100 " + (100 * w).toFixed(1) + " "
        + (Math.atan2(y, x) * 180 / Math.PI).toFixed(1) + " 0 " + (1 - k) + " " + (-x).toFixed(1) + " " + (-y).toFixed(1);
    });
  }
  root.querySelector(".front").setAttribute("d", halves[0]);
  root.querySelector(".behind").setAttribute("d", halves[1]);
};
const seat = (node, v) => {  // put a mark where it is seen, fainter on the far side
  node.setAttribute("x", (100 * v[0]).toFixed(1));
  node.setAttribute("y", (-100 * v[1]).toFixed(1));
  node.setAttribute("opacity", (0.7 + 0.3 * Math.max(-0.9, Math.min(1, 3 * v[2]))).toFixed(2));
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
