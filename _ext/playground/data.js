// Random numbers from a seed, the points in the plane, and their views. No DOM here.

/**
 * A small random number generator (mulberry32). One seed and one stream give one sequence.
 * @param {number} seed a whole number
 * @param {number} stream a whole number; streams of one seed have nothing to do with each other
 * @returns {function(): number} uniform numbers in [0, 1)
 */
function randomNumbers(seed, stream) {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A standard normal number, by Box and Muller. */
function normal(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

// Each data set: how many classes, and where a point of a class falls. All lie in about [-1, 1] x [-1, 1].
const DATA_SETS = {
  blobs: {
    name: "four blobs",
    classes: 4,
    point: (label, random) => {
      const angle = Math.PI / 4 + (label * Math.PI) / 2;
      return [0.75 * Math.cos(angle) + 0.12 * normal(random), 0.75 * Math.sin(angle) + 0.12 * normal(random)];
    },
  },
  touching: {
    name: "two blobs that touch",
    classes: 2,
    point: (label, random) => [(label - 0.5) * 0.8 + 0.2 * normal(random), 0.3 * normal(random)],
  },
  rings: {
    name: "two rings",
    classes: 2,
    point: (label, random) => {
      const angle = 2 * Math.PI * random();
      const radius = (label === 0 ? 0.35 : 0.85) + 0.04 * normal(random);
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    },
  },
  spiral: {
    name: "a spiral of two arms",
    classes: 2,
    point: (label, random) => {
      const along = 0.15 + 0.85 * Math.sqrt(random());
      const angle = 1.25 * 2 * Math.PI * along + label * Math.PI;
      const radius = 0.95 * along;
      return [radius * Math.cos(angle) + 0.025 * normal(random), radius * Math.sin(angle) + 0.025 * normal(random)];
    },
  },
};

/**
 * The points of a data set and their classes; the classes take turns.
 * @param {string} name a key of DATA_SETS
 * @param {number} count N
 * @param {number} seed
 * @returns {{points: Float64Array, labels: Uint8Array, classes: number}} points [N, 2], labels [N]
 */
function makeData(name, count, seed) {
  const set = DATA_SETS[name];
  const random = randomNumbers(seed, 0);
  const points = new Float64Array(2 * count);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = i % set.classes;
    points.set(set.point(labels[i], random), 2 * i);
  }
  return { points, labels, classes: set.classes };
}

/**
 * A batch of distinct points, drawn without replacement.
 * @param {number} count N
 * @param {number} size B; all points where B is N or more
 * @param {function(): number} random
 * @returns {Int32Array} [B] numbers of points
 */
function drawBatch(count, size, random) {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const taken = Math.min(size, count);
  for (let i = 0; i < taken; i++) {
    const other = i + Math.floor(random() * (count - i));
    const kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  return order.slice(0, taken);
}

/**
 * One view of each point: the point, shifted to a random place in a disc around it.
 * @param {Float64Array} points [N, 2]
 * @param {Int32Array} indices [B]
 * @param {number} shift the disc's radius
 * @param {function(): number} random
 * @returns {Float64Array} [B, 2]
 */
function drawViews(points, indices, shift, random) {
  const views = new Float64Array(2 * indices.length);
  for (let i = 0; i < indices.length; i++) {
    const radius = shift * Math.sqrt(random());
    const angle = 2 * Math.PI * random();
    views[2 * i] = points[2 * indices[i]] + radius * Math.cos(angle);
    views[2 * i + 1] = points[2 * indices[i] + 1] + radius * Math.sin(angle);
  }
  return views;
}
