// Pointer and keyboard on the pictures, and what else moves a playground: the page's theme, size and address.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const REACH = 24; // pixels: a press this near a point means it

/** The point nearest to where the pointer is, or -1 where none is near. Of the sphere only its front can be pressed. */
function nearestPoint(canvas, event, places) {
  const box = canvas.getBoundingClientRect();
  let best = -1;
  let least = REACH;
  places.forEach(([x, y, depth], i) => {
    const distance = Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top);
    if (distance >= least || depth < 0) return;
    best = i;
    least = distance;
  });
  return best;
}

/** The nearest point to the anchor on its left, right, upper or lower side. */
function neighbourAt(places, anchor, [right, up]) {
  let best = anchor;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    const along = right * (x - places[anchor][0]) - up * (y - places[anchor][1]);
    const across = Math.abs(up * (x - places[anchor][0])) + Math.abs(right * (y - places[anchor][1]));
    if (along <= 0 || along + 2 * across >= least) return;
    best = i;
    least = along + 2 * across;
  });
  return best;
}

function arrowKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (ARROWS[event.key]) event.preventDefault();
  return ARROWS[event.key];
}

/** The plane: a press picks the anchor, an arrow key the next point that way. */
function watchPlane(ui) {
  const plane = ui.one(".pg-plane");
  const canvas = plane.querySelector("canvas");
  plane.setAttribute("aria-label", "the points in the plane; the arrow keys choose the anchor");
  plane.addEventListener("click", (event) => pick(ui, nearestPoint(canvas, event, ui.planePlaces)));
  plane.addEventListener("keydown", (event) => {
    const way = arrowKey(event);
    if (way) pick(ui, neighbourAt(ui.planePlaces, ui.anchor, way));
  });
}

/** A sphere: a press picks the anchor; a drag, sideways on a phone, or an arrow key turns all spheres. */
function watchSphere(ui, sphere, k) {
  const canvas = sphere.querySelector("canvas");
  sphere.setAttribute("aria-label", `embeddings of learner ${LETTERS[k]}; the arrow keys turn them`);
  let dragged = 0;
  const turn = (right, up) => {
    ui.turn.yaw -= right;
    ui.turn.pitch = Math.max(-1.5, Math.min(1.5, ui.turn.pitch - up));
    refresh(ui);
  };
  sphere.addEventListener("keydown", (event) => {
    const way = arrowKey(event);
    if (way) turn((way[0] * Math.PI) / 16, (way[1] * Math.PI) / 16);
  });
  sphere.addEventListener("pointerdown", () => {
    dragged = 0;
  });
  sphere.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1) return;
    dragged += Math.hypot(event.movementX, event.movementY);
    if (dragged < 4) return;
    sphere.setPointerCapture(event.pointerId);
    turn(event.movementX / 90, -event.movementY / 90);
  });
  sphere.addEventListener("click", (event) => {
    if (dragged < 4) pick(ui, nearestPoint(canvas, event, ui.places[k]));
  });
}

/** The page around: its theme, size and address, whether the playground is in sight, and a wish for less motion. */
function watchPage(ui) {
  const themed = () => {
    ui.theme = readTheme(ui.root);
    ui.planeIsOld = true;
    refresh(ui);
  };
  new MutationObserver(themed).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  new ResizeObserver(() => {
    fitCanvases(ui);
    refresh(ui);
  }).observe(ui.one(".pg-app"));
  new IntersectionObserver((entries) => {
    const first = ui.seen === false && ui.world.step === 0;
    ui.seen = entries.at(-1).isIntersecting;
    if (ui.seen && first && !ui.still) play(ui, true);
  }).observe(ui.root);
  const wish = matchMedia("(prefers-reduced-motion: reduce)");
  wish.addEventListener("change", () => {
    ui.still = wish.matches;
    play(ui, false);
  });
  play(ui, false);
  window.addEventListener("hashchange", () => {
    if (!ui.ownsAddress || !location.hash.includes("=")) return;
    const { preset, settings } = readAddress(location.hash.slice(1), ui.root.dataset.preset);
    ui.preset = preset;
    ui.settings = settings;
    restart(ui);
  });
}
