// What the reader can choose: presets, the transport, temperatures, and the fold with the rest.

const OPTIONS = {
  data: Object.entries(DATA_SETS).map(([value, set]) => [value, set.name]),
  points: CHOICES.points.map((n) => [n, n]),
  d: [[2, "the circle, d = 2"], [3, "the sphere, d = 3"]],
  keys: [["batch", "the batch"], ["bank", "a memory bank"]],
  loss: Object.entries(LOSSES).map(([value, loss]) => [value, `${loss.name} (${loss.equation})`]),
  width: CHOICES.width.map((n) => [n, n]),
};

/** The slider's place, from 0 to 100, of a temperature; equal ways are equal ratios. */
function tauToPlace(tau) {
  const [least, most] = TAU_RANGE;
  return (100 * Math.log(tau / least)) / Math.log(most / least);
}

/** The temperature at a place of the slider, to two digits. */
function placeToTau(place) {
  const [least, most] = TAU_RANGE;
  return Number((least * (most / least) ** (place / 100)).toPrecision(2));
}

function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(text + " ", control);
  return label;
}

/** The buttons of the presets. */
function buildPresets(ui) {
  const group = ui.one(".pg-presets");
  for (const [name, preset] of Object.entries(PRESETS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.preset = name;
    button.textContent = preset.short;
    button.addEventListener("click", () => {
      ui.preset = name;
      ui.settings = { ...presetSettings(name), seed: ui.settings.seed };
      restart(ui);
      changed(ui);
      if (!ui.still) play(ui, true);
    });
    group.append(button);
  }
}

/** The preset's sentence, or, where the reader has changed more than the seed, that it need not hold any more. */
function showPreset(ui) {
  const { name, watch, seed } = { ...DEFAULTS, ...PRESETS[ui.preset] };
  const own = writeAddress({ ...ui.settings, seed }, ui.preset) !== "preset=" + ui.preset;
  for (const button of ui.all(".pg-presets button")) {
    button.setAttribute("aria-pressed", button.dataset.preset === ui.preset && !own);
  }
  write(ui.one(".pg-watch strong"), own ? "Your own scene." : name + ".");
  write(ui.one(".pg-watch span"), own ? `It began as “${name}”; a button above leads back.` : watch);
}

/** Play, step, reset, speed and seed. */
function buildTransport(ui) {
  ui.one(".pg-play").addEventListener("click", () => {
    if (ui.still) advance(ui, 100);
    else play(ui, !ui.playing);
  });
  ui.one(".pg-step").addEventListener("click", () => advance(ui, 1));
  ui.one(".pg-reset").addEventListener("click", () => restart(ui));
  ui.one(".pg-speed").addEventListener("change", (event) => {
    ui.speed = Number(event.target.value);
  });
  ui.one(".pg-seed").addEventListener("change", (event) => {
    ui.settings.seed = readValue("seed", event.target.value) ?? ui.settings.seed;
    restart(ui);
    changed(ui);
  });
}

/** The fold: what belongs to the world, and buttons for the number of learners. */
function buildFold(ui) {
  for (const control of ui.all("[data-setting]")) {
    const name = control.dataset.setting;
    if (OPTIONS[name]) fillSelect(control, OPTIONS[name]);
    control.addEventListener("change", () => {
      ui.settings[name] = readValue(name, control.value) ?? ui.settings[name];
      // The learning rate may change while it trains; all else makes another world.
      if (name === "rate") showFold(ui);
      else restart(ui);
      changed(ui);
    });
  }
  ui.one(".pg-anchor").addEventListener("change", (event) => pick(ui, event.target.valueAsNumber - 1));
  ui.one(".pg-add").addEventListener("click", () => {
    ui.settings.learners.push({ ...ui.settings.learners.at(-1) });
    restart(ui);
    changed(ui);
  });
  ui.one(".pg-remove").addEventListener("click", () => {
    ui.settings.learners.pop();
    restart(ui);
    changed(ui);
  });
}

function showFold(ui) {
  for (const control of ui.all("[data-setting]")) control.value = ui.settings[control.dataset.setting];
  ui.one("[data-setting=bankMomentum]").disabled = ui.settings.keys !== "bank";
  ui.one(".pg-seed").value = ui.settings.seed;
  ui.one(".pg-anchor").max = ui.settings.points;
  ui.one(".pg-anchor").value = ui.anchor + 1;
  ui.one(".pg-add").disabled = ui.settings.learners.length === 3;
  ui.one(".pg-remove").disabled = ui.settings.learners.length === 1;
}

/** What each learner may choose for itself: loss, share, width. */
function buildChoices(ui) {
  const rows = ui.settings.learners.map((choice, k) => {
    const row = document.createElement("div");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "learner " + LETTERS[k]);
    const letter = document.createElement("b");
    letter.textContent = LETTERS[k];
    const loss = document.createElement("select");
    fillSelect(loss, OPTIONS.loss);
    loss.value = choice.loss;
    const share = document.createElement("input");
    Object.assign(share, { type: "number", min: 0.01, max: 1, step: 0.01, value: choice.share });
    share.disabled = !LOSSES[choice.loss].hard;
    const width = document.createElement("select");
    fillSelect(width, OPTIONS.width);
    width.value = choice.width;
    const learnerChanged = (name, value) => {
      choice[name] = readValue(name, value) ?? choice[name];
      ui.world.learners[k][name] = choice[name];
      share.value = choice.share;
      share.disabled = !LOSSES[choice.loss].hard;
      if (name === "width") restart(ui);
      refresh(ui);
      changed(ui);
    };
    loss.addEventListener("change", () => learnerChanged("loss", loss.value));
    share.addEventListener("change", () => learnerChanged("share", share.value));
    width.addEventListener("change", () => learnerChanged("width", width.value));
    row.append(letter, labelled("loss", loss), labelled("negatives kept (share)", share), labelled("width", width));
    return row;
  });
  ui.one(".pg-choices").replaceChildren(...rows);
}

/** The slider of one learner's temperature, which may move while it trains. */
function buildTau(ui, column, k) {
  const slider = column.querySelector(".pg-tau input");
  slider.setAttribute("aria-label", "temperature tau of learner " + LETTERS[k]);
  slider.addEventListener("input", () => {
    const tau = placeToTau(slider.valueAsNumber);
    ui.settings.learners[k].tau = tau;
    ui.world.learners[k].tau = tau;
    refresh(ui);
  });
  slider.addEventListener("change", () => changed(ui));
}

function showTau(ui, column, k) {
  const { tau, loss } = ui.settings.learners[k];
  const slider = column.querySelector(".pg-tau input");
  const used = LOSSES[loss].usesTau;
  slider.disabled = !used;
  if (slider.dataset.tau !== String(tau)) {
    slider.dataset.tau = tau;
    if (placeToTau(slider.valueAsNumber) !== tau) slider.value = Math.round(tauToPlace(tau));
    slider.setAttribute("aria-valuetext", "tau = " + tau);
  }
  write(column.querySelector(".pg-tau output"), used ? "τ = " + tau : "no temperature");
}
