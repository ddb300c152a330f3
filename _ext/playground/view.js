// One playground in the page: what it holds is `ui`, and the functions here move it on and show it.

const PATIENCE = 12; // milliseconds of training in one frame, so that the page stays responsive
const EVERY = 10; // steps between two measurements; half as many at first

/** The colours that the page's theme gives. */
function readTheme(root) {
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--pg-ink"),
    background: colour("--pg-ground"),
    line: colour("--pg-line"),
    soft: colour("--pg-soft"),
    classes: [0, 1, 2, 3].map((k) => colour("--pg-class" + k)),
  };
}

/** Starts a playground in `root`, which names its preset. The first one on a page reads and writes the address. */
function mount(root, ownsAddress) {
  root.append(document.getElementById("pg-template").content.cloneNode(true));
  const ui = {
    root,
    ownsAddress,
    one: (selector) => root.querySelector(selector),
    all: (selector) => [...root.querySelectorAll(selector)],
    theme: readTheme(root),
    still: matchMedia("(prefers-reduced-motion: reduce)").matches,
    anchor: 0,
    speed: 2,
    due: 0,
    playing: false,
    seen: false,
  };
  const { preset, settings } = readAddress(ownsAddress ? location.hash.slice(1) : "", root.dataset.preset);
  ui.preset = preset;
  ui.settings = settings;
  buildPresets(ui);
  buildTransport(ui);
  buildFold(ui);
  watchPlane(ui);
  restart(ui);
  watchPage(ui);
  root.dataset.ready = "";
  return ui;
}

/** A new world from the settings, before its first step. */
function restart(ui) {
  ui.world = makeWorld(ui.settings);
  ui.anchor = Math.min(ui.anchor, ui.settings.points - 1);
  ui.turn = facing(embed(ui.world, ui.world.learners[0]), ui.settings.d);
  ui.histories = ui.settings.learners.map(() => []);
  buildColumns(ui);
  buildChoices(ui);
  ui.cells = buildNumbers(ui.one(".pg-numbers"), ui.settings.learners);
  ui.trail = buildTrail(ui.one(".pg-trail"), ui.settings.learners, ui.settings.d);
  showPreset(ui);
  showFold(ui);
  showKey(ui);
  fitCanvases(ui);
  measureAll(ui);
  refresh(ui);
  sayNumbers(ui);
  if (ui.playing) say(ui, ""); // the film goes on, and these numbers are soon old
}

/** A column for each learner: its name, its sphere, its temperature, and who takes the push. */
function buildColumns(ui) {
  const template = document.getElementById("pg-learner").content;
  ui.columns = ui.settings.learners.map((_, k) => {
    const column = template.cloneNode(true).firstElementChild;
    column.querySelector(".pg-name b").textContent = LETTERS[k];
    column.querySelector(".pg-name b").className = "pg-k" + k;
    buildTau(ui, column, k);
    watchSphere(ui, column.querySelector(".pg-sphere"), k);
    return column;
  });
  const place = ui.one(".pg-learners");
  place.style.setProperty("--pg-count", ui.columns.length);
  place.replaceChildren(...ui.columns);
}

/** Which mark is which class. */
function showKey(ui) {
  const marks = ["●", "■", "▲", "◆"].slice(0, ui.world.data.classes);
  ui.one(".pg-key").replaceChildren(
    ...marks.map((mark, label) => {
      const span = document.createElement("span");
      span.className = "pg-c" + label;
      span.textContent = mark;
      return span;
    }),
    ` ${marks.length} classes, which no loss sees.`,
  );
}

/** Notes every canvas's size, in CSS pixels, so that drawing asks the page for nothing. */
function fitCanvases(ui) {
  ui.planeIsOld = true;
  for (const canvas of ui.all("canvas")) {
    canvas.box = { width: Math.max(40, canvas.clientWidth), height: Math.max(8, canvas.clientHeight) };
  }
}

/** Measures every learner and adds it to its history. */
function measureAll(ui) {
  ui.world.learners.forEach((learner, k) => {
    const numbers = measure(ui.world, learner, embed(ui.world, learner));
    ui.histories[k] = remember(ui.histories[k], ui.world.step, numbers);
  });
  ui.unread = true;
}

/** Writes a text where it is another one: writing the same again would cost the page a new layout. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Draws everything as it is now; the plane only where it has changed. */
function refresh(ui) {
  const { world, theme } = ui;
  if (ui.planeIsOld) {
    ui.planePlaces = drawPlane(ui.one(".pg-plane canvas"), theme, world, ui.anchor);
    ui.planeIsOld = false;
  }
  ui.places = world.learners.map((learner, k) => {
    const column = ui.columns[k];
    const z = embed(world, learner);
    const forces = anchorForces(world, learner, ui.anchor, z);
    const places = drawSphere(column.querySelector(".pg-sphere canvas"), theme, world, z, ui.turn, ui.anchor, forces);
    drawBar(column.querySelector(".pg-shares canvas"), theme, world.data.labels, ui.anchor, forces.shares);
    showShares(ui, column, forces.shares);
    showTau(ui, column, k);
    write(column.querySelector(".pg-name span"), describe(ui.settings, k));
    return places;
  });
  write(ui.one(".pg-clock"), "step " + world.step);
  if (ui.unread) {
    showNumbers(ui.cells, ui.histories);
    showTrail(ui.trail, ui.histories);
    ui.unread = false;
  }
}

/** The push in words: what the nearest ten negatives take, and what the anchor's own class takes. */
function showShares(ui, column, shares) {
  const { labels } = ui.world.data;
  const ten = shares.slice().sort().slice(-10).reduce((sum, share) => sum + share, 0);
  const own = shares.reduce((sum, share, j) => (labels[j] === labels[ui.anchor] ? sum + share : sum), 0);
  const percent = (share) => Math.round(100 * share) + "\u00a0%";
  write(column.querySelector(".pg-shares p"), `push: nearest ten ${percent(ten)}, own class ${percent(own)}`);
}

/** A number of steps at once, then one picture. For buttons. */
function advance(ui, steps) {
  play(ui, false);
  for (let i = 0; i < steps; i++) tick(ui);
  if (ui.histories[0].at(-1).step !== ui.world.step) measureAll(ui);
  refresh(ui);
  sayNumbers(ui);
}

/** One step of the clock; every few steps it is measured. */
function tick(ui) {
  stepWorld(ui.world);
  if (ui.world.step % (ui.world.step < 50 ? EVERY / 2 : EVERY) === 0) measureAll(ui);
}

/**
 * One frame of the film: as many steps as the speed says, fewer where they take too long.
 * At the preset's last step the film stops; Play goes on from there.
 */
function frame(ui) {
  const started = performance.now();
  ui.due = Math.min(ui.due + ui.speed, ui.speed + 1);
  while (ui.due >= 1) {
    ui.due -= 1;
    tick(ui);
    if (ui.world.step === PRESETS[ui.preset].steps) {
      play(ui, false);
      break;
    }
    if (performance.now() - started > PATIENCE) break;
  }
  refresh(ui);
}

/** Starts or stops the film. It rests while it is out of sight. */
function play(ui, playing) {
  const before = ui.playing;
  ui.playing = playing;
  ui.one(".pg-play").textContent = ui.still ? "100 steps" : playing ? "Pause" : "Play";
  if (before === playing) return;
  if (!playing) {
    cancelAnimationFrame(ui.next);
    sayNumbers(ui);
    return;
  }
  say(ui, "");
  const next = () => {
    if (ui.seen) frame(ui);
    if (ui.playing) ui.next = requestAnimationFrame(next);
  };
  ui.next = requestAnimationFrame(next);
}

function say(ui, text) {
  ui.one(".pg-says").textContent = text;
}

/** The numbers in a sentence, for those who hear the page, and the pictures' names. Only when the film stops. */
function sayNumbers(ui) {
  const parts = ui.histories.map((history, k) => {
    const { uniformity, tolerance } = history.at(-1);
    const { tau, loss } = ui.settings.learners[k];
    const name = LOSSES[loss].usesTau ? "τ = " + tau : LOSSES[loss].name;
    return `${LETTERS[k]} (${name}) has uniformity ${shown(uniformity, (x) => x.toFixed(2))} and tolerance ` +
      shown(tolerance, (x) => x.toFixed(2));
  });
  const text = `After step ${ui.world.step}, ${parts.join("; ")}.`;
  say(ui, text);
  nameCanvases(ui);
  ui.one(".pg-trail").setAttribute("aria-label", "uniformity and tolerance of each learner. " + text);
}

function nameCanvases(ui) {
  ui.one(".pg-plane canvas").setAttribute("aria-label", `the points in the plane; the anchor is point ${ui.anchor + 1}`);
  ui.columns.forEach((column, k) => {
    const what = `learner ${LETTERS[k]}, ${describe(ui.settings, k)}`;
    column.querySelector(".pg-sphere canvas").setAttribute("aria-label", "embeddings of " + what);
    const shares = column.querySelector(".pg-shares p").textContent;
    column.querySelector(".pg-shares canvas").setAttribute("aria-label", `who takes the push of ${what}: ${shares}`);
  });
}

/** After a change of the reader's: the address says it. */
function changed(ui) {
  showPreset(ui);
  nameCanvases(ui);
  if (ui.ownsAddress) history.replaceState(null, "", "#" + writeAddress(ui.settings, ui.preset));
}

/** Makes a point the anchor. */
function pick(ui, anchor) {
  if (Number.isInteger(anchor) && anchor >= 0 && anchor < ui.settings.points) ui.anchor = anchor;
  ui.planeIsOld = true;
  ui.one(".pg-anchor").value = ui.anchor + 1;
  refresh(ui);
  nameCanvases(ui);
}
