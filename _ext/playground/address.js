// The state as the part of the address after #, so that it can be linked: the preset, and what differs from it.

const TAU_RANGE = [0.02, 2];
const CHOICES = {
  data: Object.keys(DATA_SETS),
  points: [200, 300, 400],
  d: [2, 3],
  keys: ["batch", "bank"],
  loss: Object.keys(LOSSES),
  width: [2, 4, 8, 16, 32, 64],
};
// Numbers and the range they are kept in.
const RANGES = {
  seed: [0, 9999],
  shift: [0, 0.3],
  bankMomentum: [0, 0.99],
  rate: [0.001, 1],
  tau: TAU_RANGE,
  share: [0.01, 1],
};
const LISTS = ["loss", "tau", "share", "width"];

/** text as a value of what `name` names, or undefined where it is none. */
function readValue(name, text) {
  if (Object.hasOwn(CHOICES, name)) return CHOICES[name].find((choice) => String(choice) === text);
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return undefined;
  const [least, most] = RANGES[name];
  const kept = Math.min(most, Math.max(least, value));
  return name === "seed" ? Math.round(kept) : kept;
}

/**
 * @param {object} settings as in `makeWorld`
 * @param {string} preset
 * @returns {string} for instance "preset=dilemma&tau=0.05,0.3,1&seed=2"
 */
function writeAddress(settings, preset) {
  const start = presetSettings(preset);
  const parts = ["preset=" + preset];
  for (const name of [...Object.keys(CHOICES), ...Object.keys(RANGES)]) {
    if (LISTS.includes(name)) continue;
    if (settings[name] !== start[name]) parts.push(name + "=" + settings[name]);
  }
  for (const name of LISTS) {
    const now = settings.learners.map((learner) => learner[name]).join();
    const before = start.learners.map((learner) => learner[name]).join();
    if (now !== before) parts.push(name + "=" + now);
  }
  return parts.join("&");
}

/**
 * @param {string} text what `writeAddress` wrote, or a reader typed; what makes no sense is left out
 * @param {string} preset where nothing else is said
 * @returns {{preset: string, settings: object}}
 */
function readAddress(text, preset) {
  const given = new URLSearchParams(text);
  const chosen = Object.hasOwn(PRESETS, given.get("preset")) ? given.get("preset") : preset;
  const settings = presetSettings(chosen);
  const lengths = LISTS.filter((name) => given.has(name)).map((name) => given.get(name).split(",").length);
  const count = Math.min(3, Math.max(...lengths, 0)) || settings.learners.length;
  while (settings.learners.length < count) settings.learners.push({ ...settings.learners[0] });
  settings.learners.length = count;
  for (const [name, text] of given) {
    if (LISTS.includes(name)) {
      text.split(",").slice(0, count).forEach((part, i) => {
        settings.learners[i][name] = readValue(name, part) ?? settings.learners[i][name];
      });
    } else if (Object.hasOwn(CHOICES, name) || Object.hasOwn(RANGES, name)) {
      settings[name] = readValue(name, text) ?? settings[name];
    }
  }
  return { preset: chosen, settings };
}
