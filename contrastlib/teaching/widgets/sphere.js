// A sphere of radius 100 in an SVG, seen from (yaw, pitch) in radians. The y axis of an SVG points down.

// A point [x, y, z] as the reader sees it: to the right, up, towards the reader.
function project(point, yaw, pitch) {
  const cos = Math.cos(yaw);
  const sin = Math.sin(yaw);
  const depth = point[0] * cos + point[1] * sin;
  return [
    point[1] * cos - point[0] * sin,
    point[2] * Math.cos(pitch) - depth * Math.sin(pitch),
    depth * Math.cos(pitch) + point[2] * Math.sin(pitch),
  ];
}

// The inverse of project.
function unproject(seen, yaw, pitch) {
  const cos = Math.cos(yaw);
  const sin = Math.sin(yaw);
  const depth = seen[2] * Math.cos(pitch) - seen[1] * Math.sin(pitch);
  return [depth * cos - seen[0] * sin, depth * sin + seen[0] * cos, seen[1] * Math.cos(pitch) + seen[2] * Math.sin(pitch)];
}

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function normalise(vector) {
  const length = Math.hypot(...vector);
  return vector.map((x) => x / length);
}

// The part of a vector along the sphere at a point.
function tangent(vector, point) {
  const radial = dot(vector, point);
  return vector.map((x, axis) => x - radial * point[axis]);
}

// Draw three great circles: their near halves in .front, their far halves in .behind.
function drawGrid(svg, yaw, pitch) {
  let front = "";
  let behind = "";
  for (const normal of [[1, 0, 0], [0, 1, 0], [0, 0, 1]]) {
    let [right, up, near] = project(normal, yaw, pitch);
    if (near < 0) {
      [right, up, near] = [-right, -up, -near];
    }
    const length = Math.hypot(right, up) || 1;
    const x = 100 * up / length;
    const y = 100 * right / length;
    const angle = (Math.atan2(y, x) * 180 / Math.PI).toFixed(1);
    const start = "M" + x.toFixed(1) + " " + y.toFixed(1) + "A100 " + (100 * near).toFixed(1) + " " + angle + " 0 ";
    const end = " " + (-x).toFixed(1) + " " + (-y).toFixed(1);
    front += start + "1" + end;
    behind += start + "0" + end;
  }
  svg.querySelector(".front").setAttribute("d", front);
  svg.querySelector(".behind").setAttribute("d", behind);
}

// Put a mark where a point is seen, fainter on the far side.
function placeMark(node, seen) {
  const nearness = Math.max(-0.9, Math.min(1, 3 * seen[2]));
  node.setAttribute("x", (100 * seen[0]).toFixed(1));
  node.setAttribute("y", (-100 * seen[1]).toFixed(1));
  node.setAttribute("opacity", (0.7 + 0.3 * nearness).toFixed(2));
}

const ARROW_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// The direction [right, up] of an arrow key; null for other keys, and with a modifier that belongs to the browser.
function arrowKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  return ARROW_KEYS[event.key] ?? null;
}

// Call turn(right, up) in radians while the globe is dragged. A finger turns it sideways only: up and down scroll.
function turnByDrag(globe, turn, mayTurn = () => true) {
  let last = null;
  globe.addEventListener("pointerdown", (event) => {
    if (!mayTurn(event)) return;
    last = [event.clientX, event.clientY];
    globe.setPointerCapture(event.pointerId);
  });
  globe.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const scale = 2.24 / globe.clientWidth;
    const right = -(event.clientX - last[0]) * scale;
    const up = (event.clientY - last[1]) * scale;
    last = [event.clientX, event.clientY];
    turn(right, event.pointerType === "touch" ? 0 : up);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    globe.addEventListener(end, () => { last = null; });
  }
}
