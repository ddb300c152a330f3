// Where the playground can start: each preset with one sentence that says what to watch. No DOM here.
// A test runs each of them over five seeds and holds its sentence to the numbers.

const DEFAULTS = {
  data: "blobs",
  points: 300,
  seed: 1,
  shift: 0.05,
  d: 3,
  keys: "batch",
  bankMomentum: 0.5,
  batch: 128,
  rate: 0.1,
};
const LEARNER = { loss: "contrastive", tau: 0.2, share: 0.1, width: 16 };

const PRESETS = {
  dilemma: {
    short: "The dilemma",
    name: "The dilemma",
    watch:
      "Only τ differs. At τ = 0.05 the points cover the whole sphere, and each class is drawn out over about a quarter " +
      "of it. At τ = 2 each class keeps to a small patch, and most of the sphere is empty. τ = 0.7 lies in between.",
    steps: 600,
    learners: [{ tau: 0.05 }, { tau: 0.7 }, { tau: 2 }],
  },
  small: {
    short: "Small τ",
    name: "Small τ: even, but drawn out",
    watch:
      "At τ = 0.03 the points cover the sphere evenly, and each class is drawn out over about a quarter of it: " +
      "tolerance ends below 0.65. At τ = 2 each class stays together, and tolerance ends above 0.9.",
    steps: 600,
    shift: 0.03,
    learners: [{ tau: 0.03 }, { tau: 2 }],
  },
  large: {
    short: "Large τ",
    name: "Large τ: tight clumps",
    watch:
      "At τ = 2 the push is spread as if over some 120 of the 127 negatives, at τ = 0.2 as if over some 34. At τ = 2 " +
      "each class ends as a tight clump: tolerance is above 0.95, and uniformity below 1.55, where τ = 0.2 is above 2.",
    steps: 600,
    learners: [{ tau: 0.2 }, { tau: 2 }],
  },
  simple: {
    short: "Simple loss",
    name: "Simple loss: two rings become one",
    watch:
      "The simple loss pushes all negatives equally. It folds the two rings onto each other: neighbours' accuracy " +
      "falls to little better than a guess, which is 50 %. With the contrastive loss it ends near 100 %.",
    steps: 600,
    data: "rings",
    learners: [{ tau: 0.2 }, { loss: "simple" }],
  },
  hard: {
    short: "Hard loss",
    name: "Hard loss at τ = 1",
    watch:
      "B and C share τ = 1, but C pushes only the nearest 30 % of the negatives. B leaves most of the sphere empty. " +
      "C comes close to the uniformity and the tolerance that A has at τ = 0.05, though about half of it is empty.",
    steps: 600,
    shift: 0.08,
    learners: [{ tau: 0.05 }, { tau: 1 }, { loss: "hard", tau: 1, share: 0.3 }],
  },
  triplet: {
    short: "Nearest only",
    name: "Eq. 6: one spot",
    watch:
      "The limit of small τ pushes the single nearest negative, and only until it is further away than the positive. " +
      "Its loss reaches 0 because all points shrink to one spot, or to two opposite ones. Its neighbours' accuracy is " +
      "no merit: the untrained network has over 90 %, too.",
    steps: 600,
    learners: [{ tau: 0.05 }, { loss: "triplet", tau: 0.05 }],
  },
  wide: {
    short: "Wide network",
    name: "A narrow network and a wide one",
    watch:
      "The same loss and τ, two widths. The wide network draws the classes out until together they cover the sphere. " +
      "The narrow one leaves more than half of it empty: its tolerance is higher, and its uniformity lower.",
    steps: 600,
    shift: 0.08,
    learners: [
      { tau: 0.05, width: 2 },
      { tau: 0.05, width: 32 },
    ],
  },
};

// How the learners are called, in order.
const LETTERS = ["A", "B", "C"];

/** The settings of a preset in full, as `makeWorld` takes them. */
function presetSettings(name) {
  const { learners, data, shift } = { ...DEFAULTS, ...PRESETS[name] };
  return { ...DEFAULTS, data, shift, learners: learners.map((learner) => ({ ...LEARNER, ...learner })) };
}

/** A learner in words: its loss, and what else sets it apart. */
function describe(settings, k) {
  const { loss, share, width } = settings.learners[k];
  const widths = new Set(settings.learners.map((learner) => learner.width));
  const parts = [LOSSES[loss].name];
  if (LOSSES[loss].hard) parts.push(`nearest ${Math.round(100 * share)} %`);
  if (widths.size > 1) parts.push("width " + width);
  return parts.join(", ");
}
