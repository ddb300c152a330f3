// What the library computes at one temperature: the loss, the shares of the push, their entropy.
function computePush(sPos, sNeg, tau) {
  const weights = sNeg.map((s) => Math.exp((s - sNeg[0]) / tau));  // the first is the largest: no overflow
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / total);
  const margin = (sNeg[0] - sPos) / tau + Math.log(total);
  return {
    shares,
    loss: Math.max(margin, 0) + Math.log1p(Math.exp(-Math.abs(margin))),
    entropy: -shares.reduce((sum, share) => sum + share * Math.log(share), 0),  // no share underflows to 0
  };
}

function formatPercent(share) {
  const number = share < 5e-5 ? "<0.01" : (100 * share).toFixed(share < 0.1 ? 2 : 1);
  return number + "\u00a0%";
}

// The similarities of an anchor's negatives from their steps down, in units of 1e-5.
function readSimilarities(drops) {
  let units = drops[0];
  const similarities = [units / 1e5];
  for (const drop of drops.slice(1)) {
    units -= drop;
    similarities.push(units / 1e5);
  }
  return similarities;
}

function startTauSlider(root) {
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const low = Number(root.dataset.low);
  const high = Number(root.dataset.high);
  const taus = JSON.parse(root.dataset.taus);
  const images = JSON.parse(root.dataset.images);
  const sources = JSON.parse(root.dataset.sources);
  const slider = one("input[type=range]");
  const chart = one("svg");
  const bars = all("svg rect");
  const items = all("ol li");
  const select = one(".sources select");
  let source = sources[0];  // the chosen one of the sources
  let anchor = null;  // and of its anchors
  let sNeg = [];
  let stops = [];  // the temperatures of the slider: one of them has ten effective negatives

  const x = (s) => (s - low) / (high - low) * 1000;
  const binOf = (s) => Math.min(bars.length - 1, Math.floor((s - low) / (high - low) * bars.length));

  function put(name, value, text) {
    const node = one('[data-quantity="' + name + '"]');
    node.dataset.value = value;
    node.textContent = text;
  }

  function drawHistogram() {
    const counts = new Array(bars.length).fill(0);
    for (const s of sNeg) counts[binOf(s)] += 1;
    const highest = Math.max(...counts);
    const width = 1000 / bars.length;
    let path = "";
    counts.forEach((count, number) => {
      if (count > 0) {
        path += "M" + number * width + " 100v-" + (100 * count / highest).toFixed(2) + "h" + width + "V100";
      }
    });
    one(".hist").setAttribute("d", path);
    one(".pos").setAttribute("x1", x(anchor.sPos).toFixed(1));
    one(".pos").setAttribute("x2", x(anchor.sPos).toFixed(1));
  }

  function drawPush(shares, tau) {
    const push = new Array(bars.length).fill(0);
    sNeg.forEach((s, j) => { push[binOf(s)] += shares[j]; });
    const highest = Math.max(...push);
    bars.forEach((bar, number) => {
      const height = 100 * push[number] / highest;
      bar.setAttribute("y", (100 - height).toFixed(2));
      bar.setAttribute("height", height.toFixed(2));
    });
    const points = Array.from({ length: 201 }, (_, step) => {
      const s = low + (sNeg[0] - low) * step / 200;
      return x(s).toFixed(1) + " " + (100 - 100 * Math.exp((s - sNeg[0]) / tau)).toFixed(2);
    });
    one(".rel").setAttribute("d", "M" + points.join("L"));
  }

  function drawItems(shares) {
    for (const item of items) {
      const share = shares[item.dataset.rank - 1];
      item.dataset.value = share;
      item.querySelector(".bar span").style.width = (100 * share).toFixed(2) + "%";
      item.querySelector(".share").textContent = formatPercent(share);
    }
  }

  function draw() {
    const tau = stops[slider.valueAsNumber];
    const { shares, loss, entropy } = computePush(anchor.sPos, sNeg, tau);
    const effective = Math.exp(entropy);
    put("tau", tau, String(tau));
    put("loss", loss, loss < 5e-4 ? "<0.001" : loss.toFixed(3));
    put("entropy", entropy, entropy.toFixed(3));
    put("effective", effective, effective.toFixed(1));
    put("nearest", shares[0], formatPercent(shares[0]));
    drawPush(shares, tau);
    drawItems(shares);
    const nearest = items.filter((item) => !item.classList.contains("distant")).length;
    const onNearest = shares.slice(0, nearest).reduce((sum, share) => sum + share, 0);
    const sentence = source.sentence.replace("TAU", tau).replace("SHARE", formatPercent(onNearest));
    chart.setAttribute("aria-label", sentence);
    one(".says").textContent = sentence;
    slider.setAttribute("aria-valuetext", "tau = " + tau);
  }

  function moveTo(tau) {
    slider.value = stops.indexOf(tau);
    draw();
  }

  function choose(number, tau) {
    anchor = source.anchors[number];
    sNeg = readSimilarities(anchor.drops);
    stops = [...new Set([...taus, ...(anchor.ten === null ? [] : [anchor.ten])])].sort((a, b) => a - b);
    slider.max = stops.length - 1;
    for (const label of all(".scale small")) {
      label.style.left = (100 * stops.indexOf(Number(label.dataset.tau)) / (stops.length - 1)).toFixed(2) + "%";
    }
    one(".anchor img").src = images[anchor.image];
    if (anchor.positive !== null) one(".positive img").src = images[anchor.positive];
    items.forEach((item, place) => {
      const image = item.querySelector("img");
      image.src = images[anchor.thumbnails[place]];
      image.alt = "similarity " + sNeg[item.dataset.rank - 1].toFixed(3);
    });
    const ten = one("[data-ten]");
    if (ten !== null) ten.hidden = anchor.ten === null;
    drawHistogram();
    // The new anchor has no stop at the old one's tau of ten: take the nearest stop.
    const nearest = stops.reduce((best, stop) => (
      Math.abs(Math.log(stop / tau)) < Math.abs(Math.log(best / tau)) ? stop : best));
    moveTo(nearest);
  }

  // A row of images, of which the reader chooses the anchor.
  function fillChoices(chosen) {
    const labels = all(".choices label");
    if (labels.length === 0) return;
    const filled = source.anchors.map((each, number) => {
      const label = labels[0].cloneNode(true);
      const radio = label.querySelector("input");
      const image = label.querySelector("img");
      radio.name = "anchor-" + [...document.querySelectorAll(".tau-slider")].indexOf(root);  // a group of its own
      radio.disabled = false;
      radio.checked = number === chosen;
      radio.setAttribute("aria-label", "anchor " + each.name);
      radio.addEventListener("change", () => choose(number, stops[slider.valueAsNumber]));
      image.src = images[each.image];
      image.alt = "anchor " + each.name;
      return label;
    });
    for (const label of labels) label.remove();
    one(".choices").append(...filled);
  }

  // The anchor stays where the new source has the same image.
  function chooseSource(number, tau) {
    const shown = anchor === null ? null : anchor.image;
    source = sources[number];
    const chosen = Math.max(0, source.anchors.findIndex((each) => each.image === shown));
    items.forEach((item, place) => {
      item.dataset.rank = source.ranks[place];
      if (item.classList.contains("distant")) item.querySelector(".place").textContent = "no. " + source.ranks[place];
    });
    one("[data-quantity=effective] + small").textContent = "of " + source.count;
    fillChoices(chosen);
    choose(chosen, tau);
  }

  const start = Number(one("[data-quantity=tau]").dataset.value);
  slider.disabled = false;
  slider.addEventListener("input", draw);
  for (const button of all(".presets [data-tau]")) {
    button.addEventListener("click", () => moveTo(Number(button.dataset.tau)));
  }
  one("[data-ten]")?.addEventListener("click", () => moveTo(anchor.ten));
  one(".presets").hidden = false;
  if (select !== null) {
    one(".sources").hidden = false;
    select.selectedIndex = 0;  // a browser may remember another one
    select.addEventListener("change", () => chooseSource(select.selectedIndex, stops[slider.valueAsNumber]));
  }
  chooseSource(0, start);
}
