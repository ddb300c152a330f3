// What is measured. Embeddings z [N, d] have length one. No DOM here.

/**
 * Uniformity, Eq 10 with t = 2: -log of the mean over distinct pairs of exp(-2 |z_i - z_j|^2). Larger is more even.
 * On the unit sphere |z_i - z_j|^2 = 2 - 2 z_i . z_j.
 */
function uniformity(z, d) {
  const n = z.length / d;
  const s = new Float64Array(n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    similarities(z, i * d, z, d, s);
    for (let j = 0; j < i; j++) total += Math.exp(4 * s[j] - 4);
  }
  return -Math.log(total / ((n * (n - 1)) / 2));
}

/** Tolerance: the mean similarity of distinct pairs of one class. labels [N]. No pair is formed. */
function tolerance(z, d, labels) {
  const classes = Math.max(...labels) + 1;
  const sums = new Float64Array(classes * d);
  const counts = new Float64Array(classes);
  let squares = 0;
  for (let i = 0; i < labels.length; i++) {
    counts[labels[i]] += 1;
    for (let c = 0; c < d; c++) {
      sums[labels[i] * d + c] += z[i * d + c];
      squares += z[i * d + c] * z[i * d + c];
    }
  }
  const similarity = sums.reduce((total, x) => total + x * x, 0) - squares;
  return similarity / counts.reduce((total, x) => total + x * (x - 1), 0);
}

/** Alignment: the mean squared distance between the two views' embeddings, z1 and z2 [B, d]. Smaller is closer. */
function alignment(z1, z2, d) {
  let total = 0;
  for (let i = 0; i < z1.length; i++) total += (z1[i] - z2[i]) * (z1[i] - z2[i]);
  return total / (z1.length / d);
}

/**
 * Neighbours' accuracy: how often most of a point's k nearest neighbours have its class; the point itself is left
 * out, and where classes draw, the nearest of their members decides.
 */
function neighboursAccuracy(z, d, labels, k) {
  const n = labels.length;
  const s = new Float64Array(n);
  const nearest = new Float64Array(k);
  const who = new Int32Array(k);
  let right = 0;
  for (let i = 0; i < n; i++) {
    nearest.fill(-Infinity);
    similarities(z, i * d, z, d, s);
    for (let j = 0; j < n; j++) {
      if (j === i || s[j] <= nearest[k - 1]) continue;
      let place = k - 1;
      for (; place > 0 && nearest[place - 1] < s[j]; place--) {
        nearest[place] = nearest[place - 1];
        who[place] = who[place - 1];
      }
      nearest[place] = s[j];
      who[place] = j;
    }
    if (vote(who, labels) === labels[i]) right += 1;
  }
  return right / n;
}

/** The class that most of `who` have; among equals the one met first. */
function vote(who, labels) {
  const votes = new Map();
  for (const j of who) votes.set(labels[j], (votes.get(labels[j]) ?? 0) + 1);
  let best = labels[who[0]];
  for (const [label, count] of votes) {
    if (count > votes.get(best)) best = label;
  }
  return best;
}

/**
 * The mean over a batch of exp(entropy of the shares r): how many negatives, sharing equally, would be as spread out.
 * For r = softmax(s / tau) the entropy is log sum exp(s / tau) - sum r s / tau; equal shares are counted.
 * features [B, d] against keys [M, d], positives [B]
 */
function effectiveNegatives(kind, features, keys, positives, d, tau, share) {
  const s = new Float64Array(keys.length / d);
  const r = new Float64Array(s.length);
  let total = 0;
  for (let i = 0; i < positives.length; i++) {
    similarities(features, i * d, keys, d, s);
    const logSum = relativePenalty(kind, s, positives[i], tau, share, r);
    let mean = 0;
    for (let j = 0; j < s.length; j++) mean += r[j] * s[j];
    total += kind === "contrastive" || kind === "hard" ? Math.exp(logSum - mean / tau) : 1 / Math.max(...r);
  }
  return total / positives.length;
}
