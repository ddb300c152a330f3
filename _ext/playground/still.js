// The still picture: the first preset after its last step, as SVG. Not part of the page; a test draws it again.
// To write it anew, see tests/test_playground.py.

const STILL_POINTS = 110; // of the 300 are drawn, so that the picture stays small

/** The outline of a class's mark, as a path. */
function markPath(label, x, y) {
  const at = `M${x} ${y}`;
  if (label === 0) return at + "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z";
  if (label === 1) return at + "m-2.7-2.7h5.4v5.4h-5.4z";
  if (label === 2) return at + "m0-3.6l3.3 6h-6.6z";
  return at + "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z";
}

/** One learner's sphere, with its numbers below. */
function stillSphere(world, k, turn) {
  const learner = world.learners[k];
  const z = embed(world, learner);
  const numbers = measure(world, learner, z);
  const paths = { front: ["", "", "", ""], behind: ["", "", "", ""] };
  for (let i = 0; i < STILL_POINTS; i++) {
    const [x, y, depth] = seen(z.subarray(3 * i, 3 * i + 3), turn);
    const label = world.data.labels[i];
    paths[depth < 0 ? "behind" : "front"][label] += markPath(label, Math.round(100 * x), Math.round(-100 * y));
  }
  const marks = (side) => paths[side].map((d, c) => `<path class="pg-s${c}" d="${d}"/>`).join("");
  const says = `uniformity ${numbers.uniformity.toFixed(2)}, tolerance ${numbers.tolerance.toFixed(2)}`;
  return `<g transform="translate(${115 + 230 * k} 108)"><circle class="pg-frame" r="104"/><g opacity=".28">` +
    `${marks("behind")}</g>${marks("front")}<text class="pg-mid pg-strong" y="130">τ = ${learner.tau}</text>` +
    `<text class="pg-mid" y="150">${says}</text></g>\n`;
}

/** The whole picture. */
function stillPicture() {
  const world = makeWorld(presetSettings("dilemma"));
  const turn = facing(embed(world, world.learners[0]), 3);
  while (world.step < PRESETS.dilemma.steps) stepWorld(world);
  const spheres = world.learners.map((_, k) => stillSphere(world, k, turn)).join("");
  return `<svg viewBox="0 0 690 264" role="img" aria-label="three spheres of points, after 600 steps at three ` +
    `temperatures">\n${spheres}</svg>\n`;
}
