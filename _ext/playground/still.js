// The still picture of a preset after its last step: an SVG for each learner, side by side where there is room. Not
// part of the page: _ext/stills.py draws it into still-NAME.html, and a test draws it again.

const STILL_POINTS = 110; // of the 300 are drawn, so that the picture stays small

/** The outline of a class's mark, as a path. */
function markPath(label, x, y) {
  const at = `M${x} ${y}`;
  if (label === 0) return at + "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z";
  if (label === 1) return at + "m-2.7-2.7h5.4v5.4h-5.4z";
  if (label === 2) return at + "m0-3.6l3.3 6h-6.6z";
  return at + "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z";
}

/** The marks in front and those behind, a path for each class that has some there. */
function stillMarks(world, z, turn) {
  const paths = { front: ["", "", "", ""], behind: ["", "", "", ""] };
  for (let i = 0; i < STILL_POINTS; i++) {
    const [x, y, depth] = seen(z.subarray(3 * i, 3 * i + 3), turn);
    const label = world.data.labels[i];
    paths[depth < 0 ? "behind" : "front"][label] += markPath(label, Math.round(100 * x), Math.round(-100 * y));
  }
  const drawn = (side) => paths[side].map((d, c) => (d ? `<path class="pg-s${c}" d="${d}"/>` : "")).join("");
  return `<g opacity=".28">${drawn("behind")}</g>${drawn("front")}`;
}

/** What is written below a learner's sphere, line by line: what sets it apart, and its numbers. */
function stillLines(world, k, z) {
  const learner = world.learners[k];
  const { uniformity, tolerance, accuracy } = measure(world, learner, z);
  const tau = LOSSES[learner.loss].usesTau ? `τ = ${learner.tau}` : "no temperature";
  return [
    `${LETTERS[k]}: ${tau}`,
    describe(world.settings, k),
    `uniformity ${uniformity.toFixed(2)}, tolerance ${tolerance.toFixed(2).replace("-0.00", "0.00")}`,
    `neighbours’ accuracy ${(100 * accuracy).toFixed(0)} %`,
  ];
}

/** One learner's sphere, with its lines below. */
function stillSphere(world, k, turn) {
  const z = embed(world, world.learners[k]);
  const [name, ...others] = stillLines(world, k, z);
  const below = others.map((line, i) => `<text class="pg-mid" y="${150 + 18 * i}">${line}</text>`).join("");
  const style = "flex:1 1 195px;min-width:0;max-width:230px"; // side by side, on a phone one below the other
  return `<svg viewBox="-115 -108 230 302" style="${style}" role="img" aria-label="sphere of ${name}">\n<circle class="pg-frame" r="104"/>${stillMarks(world, z, turn)}` +
    `<text class="pg-mid pg-strong" y="130">${name}</text>${below}</svg>\n`;
}

/** The whole picture of a preset. */
function stillPicture(preset) {
  const world = makeWorld(presetSettings(preset));
  const turn = facing(embed(world, world.learners[0]), 3);
  while (world.step < PRESETS[preset].steps) stepWorld(world);
  const spheres = world.learners.map((_, k) => stillSphere(world, k, turn)).join("");
  return `<div style="display:flex;flex-wrap:wrap;justify-content:center">\n${spheres}</div>\n`;
}
