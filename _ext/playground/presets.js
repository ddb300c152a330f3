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
      "Only τ differs. The small τ spreads the points over the whole sphere and pulls classes apart; the large one " +
      "keeps each class together and leaves most of the sphere empty.",
    steps: 600,
    learners: [{ tau: 0.05 }, { tau: 0.7 }, { tau: 2 }],
  },
  small: {
    short: "Small τ",
    name: "Small τ: even, but torn",
    watch:
      "At τ = 0.03 the points fill the sphere evenly, but each class is drawn out over a large part of it: " +
      "its tolerance ends far below that at τ = 2.",
    steps: 600,
    shift: 0.03,
    learners: [{ tau: 0.03 }, { tau: 2 }],
  },
  large: {
    short: "Large τ",
    name: "Large τ: tight clumps",
    watch:
      "At τ = 2 nearly all negatives share the push equally. Each class shrinks to a tight clump: tolerance is " +
      "close to 1, and uniformity stays low.",
    steps: 600,
    learners: [{ tau: 0.2 }, { tau: 2 }],
  },
  simple: {
    short: "Simple loss",
    name: "Simple: collapse",
    watch:
      "The simple loss pushes all negatives equally. It folds the two rings onto each other: neighbours' accuracy " +
      "falls to little better than a guess, while the contrastive loss keeps it near 100 %.",
    steps: 600,
    data: "rings",
    learners: [{ tau: 0.2 }, { loss: "simple" }],
  },
  hard: {
    short: "Hard loss",
    name: "Hard at τ = 1: the bargain",
    watch:
      "B and C share τ = 1, but C pushes only the nearest 30 % of the negatives. B leaves much of the sphere empty; " +
      "C comes close to the uniformity and the tolerance that A has at τ = 0.05.",
    steps: 600,
    shift: 0.08,
    learners: [{ tau: 0.05 }, { tau: 1 }, { loss: "hard", tau: 1, share: 0.3 }],
  },
  triplet: {
    short: "Eq 6",
    name: "Eq 6: nothing",
    watch:
      "The limit of small τ pushes the single nearest negative, and only until it is further away than the positive. " +
      "Its loss reaches 0 because all points shrink to one spot, or to two opposite ones: nothing is learnt.",
    steps: 600,
    learners: [{ tau: 0.05 }, { loss: "triplet", tau: 0.05 }],
  },
  wide: {
    short: "Wide network",
    name: "Too wide a network",
    watch:
      "The same loss and τ, two widths. The wide network can follow the push and draws each class out over the sphere; " +
      "the narrow one cannot, so its tolerance stays higher and its uniformity lower.",
    steps: 600,
    shift: 0.08,
    learners: [
      { tau: 0.05, width: 2 },
      { tau: 0.05, width: 32 },
    ],
  },
};

/** The settings of a preset in full, as `makeWorld` takes them. */
function presetSettings(name) {
  const { learners, data, shift } = { ...DEFAULTS, ...PRESETS[name] };
  return { ...DEFAULTS, data, shift, learners: learners.map((learner) => ({ ...LEARNER, ...learner })) };
}
