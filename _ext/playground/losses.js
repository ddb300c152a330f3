// The five losses and their derivatives by the similarities. No DOM here.
// An anchor has M keys: one is its positive, the M - 1 others are its negatives.

const LOSSES = {
  contrastive: { name: "contrastive", equation: "Eq 1", hard: false, usesTau: true },
  hard: { name: "hard contrastive", equation: "Eq 9", hard: true, usesTau: true },
  simple: { name: "simple", equation: "Eq 3", hard: false, usesTau: false },
  hardSimple: { name: "hard simple", equation: "Eq 3, hard", hard: true, usesTau: false },
  triplet: { name: "triplet limit", equation: "Eq 6", hard: false, usesTau: true },
};

/** The whole number nearest to x, and the even one of two that are as near, as in Python. */
function roundHalfEven(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * The least similarity that a negative must have to count: the k-th largest, k = max(1, round(share * negatives)).
 * @param {Float64Array} s [M] similarities to all keys
 * @param {number} positive which of them is the positive
 * @param {number} share in (0, 1]
 */
function hardThreshold(s, positive, share) {
  const negatives = new Float64Array(s.length - 1);
  negatives.set(s.subarray(0, positive));
  negatives.set(s.subarray(positive + 1), positive);
  negatives.sort();
  const kept = Math.max(1, roundHalfEven(share * negatives.length));
  return negatives[negatives.length - kept];
}

/**
 * Each negative's share of the push, Eq 5 (Eq 8 for the hard losses): what |dL/ds_j| is to the sum over the negatives.
 * @param {string} kind a key of LOSSES
 * @param {Float64Array} s [M]
 * @param {number} positive
 * @param {number} tau
 * @param {number} share of the negatives that the hard losses keep
 * @param {Float64Array} r [M] is filled: 0 at the positive, sums to 1
 * @returns {number} log of the sum of exp(s_j / tau) over the kept negatives; 0 where the loss has no temperature
 */
function relativePenalty(kind, s, positive, tau, share, r) {
  let top = -Infinity;
  for (let j = 0; j < s.length; j++) {
    if (j !== positive && s[j] > top) top = s[j];
  }
  let threshold = -Infinity;
  if (LOSSES[kind].hard) threshold = hardThreshold(s, positive, share);
  // The limit of small tau is fair to equals: the nearest negatives share the push.
  if (kind === "triplet") threshold = top;
  const soft = kind === "contrastive" || kind === "hard";
  let sum = 0;
  for (let j = 0; j < s.length; j++) {
    r[j] = 0;
    if (j === positive || s[j] < threshold) continue;
    r[j] = soft ? Math.exp((s[j] - top) / tau) : 1;
    sum += r[j];
  }
  for (let j = 0; j < s.length; j++) r[j] /= sum;
  return soft ? top / tau + Math.log(sum) : 0;
}

/**
 * One anchor's loss, and its derivative by each similarity.
 * @param {string} kind
 * @param {Float64Array} s [M]
 * @param {number} positive
 * @param {number} tau
 * @param {number} share
 * @param {Float64Array} weights [M] is filled with dL/ds_j: at most 0 at the positive, at least 0 elsewhere, sum 0
 * @returns {number} the loss
 */
function anchorLoss(kind, s, positive, tau, share, weights) {
  const logSum = relativePenalty(kind, s, positive, tau, share, weights);
  let loss;
  let push; // all negatives together, the size of the pull
  if (kind === "contrastive" || kind === "hard") {
    const gap = logSum - s[positive] / tau;
    loss = gap > 0 ? gap + Math.log1p(Math.exp(-gap)) : Math.log1p(Math.exp(gap));
    push = 1 / (tau * (1 + Math.exp(-gap)));
  } else {
    let mean = 0;
    for (let j = 0; j < s.length; j++) mean += weights[j] * s[j];
    loss = mean - s[positive];
    push = 1;
    if (kind === "triplet") {
      push = loss < 0 ? 0 : 1 / tau;
      loss = Math.max(0, loss) / tau;
    }
  }
  for (let j = 0; j < s.length; j++) weights[j] *= push;
  weights[positive] = -push;
  return loss;
}

/** s [M]: the similarities of the feature at `from` to all keys [M, d]. Written out for d = 2 and 3: it is the hot one. */
function similarities(features, from, keys, d, s) {
  const x = features[from];
  const y = features[from + 1];
  const z = d === 3 ? features[from + 2] : 0;
  for (let j = 0; j < s.length; j++) {
    const row = j * d;
    s[j] = x * keys[row] + y * keys[row + 1];
    if (d === 3) s[j] += z * keys[row + 2];
  }
}

/** sums[at ...] += g times rows[from ...], d numbers of each. */
function addTo(sums, at, g, rows, from, d) {
  sums[at] += g * rows[from];
  sums[at + 1] += g * rows[from + 1];
  if (d === 3) sums[at + 2] += g * rows[from + 2];
}

/**
 * The mean loss of a batch, and its derivatives by features and keys.
 * @param {string} kind
 * @param {Float64Array} features [B, d] of length one
 * @param {Float64Array} keys [M, d] of length one
 * @param {Int32Array} positives [B] each anchor's row of keys
 * @param {number} d
 * @param {number} tau
 * @param {number} share
 * @returns {{loss: number, dFeatures: Float64Array, dKeys: Float64Array}} dFeatures [B, d], dKeys [M, d]
 */
function batchLoss(kind, features, keys, positives, d, tau, share) {
  const anchors = positives.length;
  const s = new Float64Array(keys.length / d);
  const weights = new Float64Array(s.length);
  const dFeatures = new Float64Array(features.length);
  const dKeys = new Float64Array(keys.length);
  let loss = 0;
  for (let i = 0; i < anchors; i++) {
    similarities(features, i * d, keys, d, s);
    loss += anchorLoss(kind, s, positives[i], tau, share, weights) / anchors;
    for (let j = 0; j < s.length; j++) {
      const g = weights[j] / anchors;
      if (g === 0) continue;
      addTo(dFeatures, i * d, g, keys, j * d, d);
      addTo(dKeys, j * d, g, features, i * d, d);
    }
  }
  return { loss, dFeatures, dKeys };
}
