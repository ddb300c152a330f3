const PRESS = 24;  // a press counts for a mark that is nearer than this, in pixels

function startRunExplorer(root) {
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const slider = one("input[type=range]");
  const parts = Object.fromEntries(all(".dataset").map((part) => [part.dataset.dataset, part]));
  const datasetRadios = all("input[name=dataset]");
  const lossRadios = all("input[name=loss]");
  let dataset = datasetRadios.find((radio) => radio.checked).value;
  let chosen = null;  // the number of the chosen mark among its data set's

  const marks = () => [...parts[dataset].querySelectorAll(".plane .mark")];
  const marksOf = (loss) => marks().filter((mark) => mark.dataset.loss === loss);

  // The middle of a mark on the screen.
  function middle(mark) {
    const box = mark.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  }

  function drawRings() {
    for (const ring of parts[dataset].querySelectorAll(".ring")) {
      const plane = ring.closest(".plane") !== null;
      const mark = plane ? marks()[chosen] : parts[dataset].querySelector('.zoom [data-number="' + chosen + '"]');
      ring.toggleAttribute("hidden", mark === null);
      if (mark !== null) ring.setAttribute("transform", mark.getAttribute("transform"));
    }
  }

  function drawControls(mark) {
    const taus = marksOf(mark.dataset.loss);
    for (const radio of datasetRadios) radio.checked = radio.value === dataset;
    for (const radio of lossRadios) {
      radio.checked = radio.value === mark.dataset.loss;
      radio.disabled = marksOf(radio.value).length === 0;
    }
    slider.max = Math.max(1, taus.length - 1);
    slider.value = taus.indexOf(mark);
    slider.disabled = taus.length < 2;
    one("[data-quantity=tau]").textContent = mark.dataset.tau || "none";
    slider.setAttribute("aria-valuetext", mark.dataset.title);
  }

  function choose(mark) {
    chosen = marks().indexOf(mark);
    const part = parts[dataset];
    [...part.querySelectorAll(".profile g")].forEach((profile, k) => profile.toggleAttribute("hidden", k !== chosen));
    part.querySelector(".profile svg").setAttribute("aria-label", mark.dataset.sentence);
    part.querySelector(".says").textContent = mark.dataset.sentence;
    drawRings();
    drawControls(mark);
  }

  // The mark of a loss whose temperature is nearest to the one that was chosen.
  function nearestMark(loss, tau) {
    const candidates = marksOf(loss);
    const far = candidates.map((mark) => (tau && mark.dataset.tau ? Math.abs(Math.log(mark.dataset.tau / tau)) : 0));
    return candidates[far.indexOf(Math.min(...far))];
  }

  function showDataset(name) {
    const before = marks()[chosen].dataset;
    parts[dataset].hidden = true;
    dataset = name;
    parts[dataset].hidden = false;
    choose(nearestMark(before.loss, before.tau) ?? marks()[0]);
  }

  // The nearest mark of the chart that is pressed, if the press is near it.
  function press(event) {
    const chart = event.currentTarget;
    const candidates = [...chart.querySelectorAll(".mark")];
    const far = candidates.map((mark) => {
      const [x, y] = middle(mark);
      return Math.hypot(event.clientX - x, event.clientY - y);
    });
    const nearest = far.indexOf(Math.min(...far));
    if (!(far[nearest] < PRESS)) return;
    const number = candidates[nearest].dataset.number ?? nearest;
    choose(marks()[number]);
    (slider.disabled ? lossRadios.find((radio) => radio.checked) : slider).focus({ preventScroll: true });
  }

  const here = [...document.querySelectorAll(".run-explorer")].indexOf(root);
  for (const radio of [...datasetRadios, ...lossRadios]) {
    radio.name += "-" + here;  // a group of its own
    radio.disabled = false;
  }
  for (const radio of datasetRadios) radio.addEventListener("change", () => showDataset(radio.value));
  let tau = null;  // the last temperature, for when a loss without one was chosen in between
  for (const radio of lossRadios) {
    radio.addEventListener("change", () => {
      tau = marks()[chosen].dataset.tau || tau;
      choose(nearestMark(radio.value, tau));
    });
  }
  slider.addEventListener("input", () => choose(marksOf(marks()[chosen].dataset.loss)[slider.valueAsNumber]));
  for (const chart of all(":is(.plane, .zoom) svg")) chart.addEventListener("click", press);
  one(".temperature").hidden = false;
  one(".help").hidden = false;
  const visible = [...parts[dataset].querySelectorAll(".profile g")].findIndex((profile) => !profile.hasAttribute("hidden"));
  choose(marks()[visible]);
}
