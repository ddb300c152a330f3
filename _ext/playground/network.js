// The encoder: 2 numbers -> H tanh units -> H tanh units -> d numbers -> length one. No DOM here.

/**
 * Where each layer's numbers lie in the one array that holds all weights.
 * Order: W1 [H, 2], b1 [H], W2 [H, H], b2 [H], W3 [d, H], b3 [d], rows first.
 */
function layout(width, d) {
  const b1 = 2 * width;
  const w2 = b1 + width;
  const b2 = w2 + width * width;
  const w3 = b2 + width;
  const b3 = w3 + d * width;
  return { w1: 0, b1, w2, b2, w3, b3, size: b3 + d };
}

/**
 * Random weights, as the seed draws them.
 * @param {number} width H
 * @param {number} d 2 or 3
 * @param {function(): number} random
 * @returns {Float64Array} all weights, in the order of `layout`
 */
function initialWeights(width, d, random) {
  const at = layout(width, d);
  const theta = new Float64Array(at.size);
  const fill = (from, to, scale) => {
    for (let i = from; i < to; i++) theta[i] = scale * normal(random);
  };
  fill(at.w1, at.b1, 1.5 / Math.SQRT2);
  fill(at.b1, at.w2, 0.5);
  fill(at.w2, at.b2, 1 / Math.sqrt(width));
  fill(at.b2, at.w3, 0.2);
  fill(at.w3, at.b3, 1 / Math.sqrt(width));
  fill(at.b3, at.size, 0.3);
  return theta;
}

/** out [n, rows] = input [n, columns] times weights [rows, columns] transposed, plus bias [rows]. */
function linear(theta, weight, bias, input, n, columns, rows) {
  const out = new Float64Array(n * rows);
  for (let i = 0; i < n; i++) {
    for (let r = 0; r < rows; r++) {
      let sum = theta[bias + r];
      const row = weight + r * columns;
      for (let c = 0; c < columns; c++) sum += theta[row + c] * input[i * columns + c];
      out[i * rows + r] = sum;
    }
  }
  return out;
}

function tanhInPlace(values) {
  for (let i = 0; i < values.length; i++) values[i] = Math.tanh(values[i]);
  return values;
}

/**
 * The embeddings of points, and what `backward` needs.
 * @param {Float64Array} theta all weights
 * @param {number} width H
 * @param {number} d
 * @param {Float64Array} x [n, 2]
 * @returns {{x, h1, h2, lengths, z, n}} h1 and h2 [n, H], lengths [n] before scaling, z [n, d] of length one
 */
function forward(theta, width, d, x) {
  const at = layout(width, d);
  const n = x.length / 2;
  const h1 = tanhInPlace(linear(theta, at.w1, at.b1, x, n, 2, width));
  const h2 = tanhInPlace(linear(theta, at.w2, at.b2, h1, n, width, width));
  const z = linear(theta, at.w3, at.b3, h2, n, width, d);
  const lengths = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let square = 0;
    for (let c = 0; c < d; c++) square += z[i * d + c] * z[i * d + c];
    lengths[i] = Math.sqrt(square);
    for (let c = 0; c < d; c++) z[i * d + c] /= lengths[i];
  }
  return { x, h1, h2, lengths, z, n };
}

/**
 * The derivative by the weights of one linear layer, added to gradient; returns the derivative by its input.
 * above [n, rows], input [n, columns] -> [n, columns]
 */
function linearBackward(theta, gradient, weight, bias, above, input, n, columns, rows) {
  const below = new Float64Array(n * columns);
  for (let i = 0; i < n; i++) {
    for (let r = 0; r < rows; r++) {
      const g = above[i * rows + r];
      const row = weight + r * columns;
      gradient[bias + r] += g;
      for (let c = 0; c < columns; c++) {
        gradient[row + c] += g * input[i * columns + c];
        below[i * columns + c] += g * theta[row + c];
      }
    }
  }
  return below;
}

function tanhBackward(above, activations) {
  for (let i = 0; i < above.length; i++) above[i] *= 1 - activations[i] * activations[i];
  return above;
}

/**
 * Adds to `gradient` the derivative of the loss by all weights.
 * @param {Float64Array} theta
 * @param {number} width H
 * @param {number} d
 * @param {object} pass what `forward` returned
 * @param {Float64Array} dz [n, d] the loss's derivative by the embeddings
 * @param {Float64Array} gradient as long as theta
 */
function backward(theta, width, d, pass, dz, gradient) {
  const at = layout(width, d);
  const du = new Float64Array(dz.length);
  for (let i = 0; i < pass.n; i++) {
    // Only the part along the sphere passes through the scaling to length one.
    let radial = 0;
    for (let c = 0; c < d; c++) radial += dz[i * d + c] * pass.z[i * d + c];
    for (let c = 0; c < d; c++) du[i * d + c] = (dz[i * d + c] - radial * pass.z[i * d + c]) / pass.lengths[i];
  }
  const dh2 = linearBackward(theta, gradient, at.w3, at.b3, du, pass.h2, pass.n, width, d);
  tanhBackward(dh2, pass.h2);
  const dh1 = linearBackward(theta, gradient, at.w2, at.b2, dh2, pass.h1, pass.n, width, width);
  tanhBackward(dh1, pass.h1);
  linearBackward(theta, gradient, at.w1, at.b1, dh1, pass.x, pass.n, 2, width);
}
