// Learners on one clock: same data, same seed, same views; they differ in loss and temperature. No DOM here.

const MOMENTUM = 0.9;
const NEIGHBOURS = 10;

/**
 * A learner before its first step.
 * @param {object} settings data, points, seed, shift, d, keys ("batch" or "bank"), bankMomentum, batch, rate
 * @param {{loss: string, tau: number, share: number, width: number}} choice
 * @returns {object} theta, velocity, and bank [N, d], whose rows begin as random unit vectors
 */
function makeLearner(settings, choice) {
  const theta = initialWeights(choice.width, settings.d, randomNumbers(settings.seed, 1));
  const random = randomNumbers(settings.seed, 2);
  const bank = Float64Array.from({ length: settings.points * settings.d }, () => normal(random));
  normaliseRows(bank, settings.d);
  return { ...choice, theta, velocity: new Float64Array(theta.length), bank, last: null };
}

function normaliseRows(rows, d) {
  for (let i = 0; i < rows.length; i += d) {
    const length = Math.hypot(...rows.subarray(i, i + d));
    for (let c = 0; c < d; c++) rows[i + c] /= length;
  }
}

/**
 * The world: data, a clock, and the learners.
 * @param {object} settings as in `makeLearner`, and learners: a list of choices
 */
function makeWorld(settings) {
  const data = makeData(settings.data, settings.points, settings.seed);
  const learners = settings.learners.map((choice) => makeLearner(settings, choice));
  return { settings, data, learners, step: 0, random: randomNumbers(settings.seed, 3) };
}

/** The next batch: indices [B], and two views of each point, [B, 2]. The same for all learners. */
function nextBatch(world) {
  const { settings, data, random } = world;
  const indices = drawBatch(settings.points, settings.batch, random);
  const first = drawViews(data.points, indices, settings.shift, random);
  const second = drawViews(data.points, indices, settings.shift, random);
  return { indices, first, second };
}

/**
 * The learner's loss on a batch and its derivative by all weights.
 * @returns {{loss, gradient, features, other, keys, positives}} gradient is as long as theta; features and other [B, d]
 *   are the two views' embeddings
 */
function lossAndGradient(settings, learner, batch) {
  const { d } = settings;
  const { width } = learner;
  const fromBank = settings.keys === "bank";
  const pass = forward(learner.theta, width, d, batch.first);
  const otherPass = forward(learner.theta, width, d, batch.second);
  const keys = fromBank ? learner.bank : otherPass.z;
  const positives = fromBank ? batch.indices : batch.indices.map((_, i) => i);
  const found = batchLoss(learner.loss, pass.z, keys, positives, d, learner.tau, learner.share);
  const gradient = new Float64Array(learner.theta.length);
  backward(learner.theta, width, d, pass, found.dFeatures, gradient);
  // A bank is data: only keys from the batch pass their gradient on to the network.
  if (!fromBank) backward(learner.theta, width, d, otherPass, found.dKeys, gradient);
  return { loss: found.loss, gradient, features: pass.z, other: otherPass.z, keys, positives };
}

/** One step of SGD with momentum: velocity = 0.9 velocity + gradient; weights less rate times velocity. */
function descend(learner, gradient, rate) {
  for (let i = 0; i < gradient.length; i++) {
    learner.velocity[i] = MOMENTUM * learner.velocity[i] + gradient[i];
    learner.theta[i] -= rate * learner.velocity[i];
  }
}

/** Each row of the batch moves towards its features: row = normalise(momentum row + (1 - momentum) feature). */
function updateBank(settings, learner, batch, features) {
  const { d, bankMomentum } = settings;
  batch.indices.forEach((index, i) => {
    const row = learner.bank.subarray(index * d, index * d + d);
    for (let c = 0; c < d; c++) row[c] = bankMomentum * row[c] + (1 - bankMomentum) * features[i * d + c];
    normaliseRows(row, d);
  });
}

/** One tick of the clock: every learner takes one step on the same batch. */
function stepWorld(world) {
  const { settings } = world;
  const batch = nextBatch(world);
  for (const learner of world.learners) {
    learner.last = lossAndGradient(settings, learner, batch);
    descend(learner, learner.last.gradient, settings.rate);
    if (settings.keys === "bank") updateBank(settings, learner, batch, learner.last.features);
  }
  world.step += 1;
}

/** The embeddings [N, d] of the points themselves, not of their views. */
function embed(world, learner) {
  const { d } = world.settings;
  return forward(learner.theta, learner.width, d, world.data.points).z;
}

/**
 * All numbers of a learner. Loss, alignment and effective negatives are of its last batch (before the first step: NaN).
 * @param {Float64Array} z [N, d] what `embed` gave
 */
function measure(world, learner, z) {
  const { d } = world.settings;
  const { labels } = world.data;
  const { last } = learner;
  const numbers = {
    loss: NaN,
    uniformity: uniformity(z, d),
    tolerance: tolerance(z, d, labels),
    alignment: NaN,
    accuracy: neighboursAccuracy(z, d, labels, NEIGHBOURS),
    effective: NaN,
  };
  if (last) {
    const { features, keys, positives } = last;
    numbers.loss = last.loss;
    numbers.alignment = alignment(features, last.other, d);
    const { loss, tau, share } = learner;
    numbers.effective = effectiveNegatives(loss, features, keys, positives, d, tau, share);
  }
  return numbers;
}

/**
 * What one anchor feels, for the picture: the point itself against all other points (or their rows of the bank), and
 * as its positive one view of it (or its own row).
 * @param {number} anchor which point
 * @param {Float64Array} z [N, d] what `embed` gave
 * @returns {{positive, shares, pull, push}} positive [d], shares [N] of the push, pull and push [d] along the sphere:
 *   downhill, times tau where the loss has one, so that learners can be compared
 */
function anchorForces(world, learner, anchor, z) {
  const { d, shift, keys } = world.settings;
  const { points } = world.data;
  const rows = keys === "bank" ? learner.bank : Float64Array.from(z);
  if (keys !== "bank") {
    const view = Float64Array.of(points[2 * anchor] + 0.6 * shift, points[2 * anchor + 1] + 0.4 * shift);
    rows.set(forward(learner.theta, learner.width, d, view).z, anchor * d);
  }
  const s = new Float64Array(world.settings.points);
  const weights = new Float64Array(s.length);
  const shares = new Float64Array(s.length);
  similarities(z, anchor * d, rows, d, s);
  anchorLoss(learner.loss, s, anchor, learner.tau, learner.share, weights);
  relativePenalty(learner.loss, s, anchor, learner.tau, learner.share, shares);
  const scale = LOSSES[learner.loss].usesTau ? learner.tau : 1;
  const pull = new Float64Array(d);
  const push = new Float64Array(d);
  for (let j = 0; j < s.length; j++) {
    const force = j === anchor ? pull : push;
    for (let c = 0; c < d; c++) force[c] -= scale * weights[j] * (rows[j * d + c] - s[j] * z[anchor * d + c]);
  }
  return { positive: rows.slice(anchor * d, anchor * d + d), shares, pull, push };
}
