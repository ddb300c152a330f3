const STEP = 0.06;  // of the anchor that is let go, times the force, each picture
const AT_REST = 0.005;  // the force at which it stops
const MOST_STEPS = 2000;

function softmax(scores) {
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

// For each of the three losses: the shares of the push of the negatives, and the weights of all keys, the positive first.
function computeWeights(anchor, positive, negatives, tau, k) {
  const s = negatives.map((negative) => dot(anchor, negative));
  const sPos = dot(anchor, positive);
  const kth = [...s].sort((a, b) => b - a)[k - 1];
  const scores = s.map((x) => x / tau);
  const hardScores = s.map((x) => (x >= kth ? x / tau : -Infinity));
  const even = s.map(() => 1 / s.length);
  return {
    s,
    sPos,
    shares: [softmax(scores), softmax(hardScores), even],
    weights: [softmax([sPos / tau, ...scores]), softmax([sPos / tau, ...hardScores]), [0, ...even]],
  };
}

function startGradientSphere(root) {
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const scenes = JSON.parse(root.dataset.scenes);
  const images = JSON.parse(root.dataset.images);
  const taus = JSON.parse(root.dataset.taus);
  const k = Number(root.dataset.k);
  const forceScale = Number(root.dataset.forceScale);
  const globe = one(".globe");
  const handle = one(".handle");
  const svg = one(".globe svg");
  const slider = one("input[type=range]");
  const release = one("[data-do=release]");
  const marks = all(".globe text");
  const arrows = all("path.arrow");
  const pushes = all("path.push");
  const cells = all("tbody tr").map((row) => [...row.querySelectorAll("td")]);
  const select = one(".sources select");
  const firstStop = slider.valueAsNumber;
  let scene = scenes[0];  // the chosen one
  let keys = [];  // its points: the positive, and the negatives
  let positive = null;
  let negatives = [];
  let anchor = null;
  let yaw = 0;
  let pitch = 0;
  let loss = 0;  // whose single pushes are drawn, and whose arrow the anchor follows when it is let go
  let trail = [];  // where the anchor has been since it was let go
  let timer = null;

  const tau = () => taus[slider.valueAsNumber];
  const screen = (point) => {
    const [right, up] = project(point, yaw, pitch);
    return [100 * right, -100 * up];
  };
  const write = (point) => point.map((x) => x.toFixed(1)).join(" ");
  const put = (node, value) => {
    node.dataset.value = value;
    node.textContent = value.toFixed(2);
  };

  // Downhill along the sphere: towards the positive and away from the weighted mean of the keys.
  function forceOf(weights) {
    const raw = positive.map((x, axis) => x - keys.reduce((sum, key, j) => sum + weights[j] * key[axis], 0));
    return tangent(raw, anchor);
  }

  // An arrow from the anchor along a force; its head no longer than half of it.
  function arrowPath(force) {
    const from = screen(anchor);
    const to = screen(anchor.map((x, axis) => x + forceScale * force[axis]));
    const head = Math.min(9, Math.hypot(to[0] - from[0], to[1] - from[1]) / 2);
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    const barb = (turn) => write([to[0] - head * Math.cos(angle + turn), to[1] - head * Math.sin(angle + turn)]);
    return "M" + write(from) + "L" + write(to) + "M" + barb(0.5) + "L" + write(to) + "L" + barb(-0.5);
  }

  function drawPushes(weights, shares) {
    negatives.forEach((negative, j) => {
      const push = tangent(negative, anchor).map((x) => -weights[j + 1] * x);
      pushes[j].setAttribute("d", arrowPath(push));
      pushes[j].style.strokeWidth = (1 + 8 * shares[j]).toFixed(2);
      pushes[j].style.display = shares[j] > 0 ? "" : "none";
      pushes[j].dataset.share = shares[j];
    });
    one("path.pull").setAttribute("d", arrowPath(tangent(positive, anchor).map((x) => (1 - weights[0]) * x)));
  }

  function drawAnchor() {
    const [x, y] = screen(anchor);
    const near = project(anchor, yaw, pitch)[2] >= 0;
    one(".anchor").setAttribute("cx", x.toFixed(1));
    one(".anchor").setAttribute("cy", y.toFixed(1));
    one(".anchor").setAttribute("opacity", near ? 1 : 0.45);
    handle.style.left = (x + 112) / 2.24 + "%";
    handle.style.top = (y + 112) / 2.24 + "%";
    one(".trail").setAttribute("d", trail.length > 1 ? "M" + trail.map((p) => write(screen(p))).join("L") : "");
  }

  function drawTable(found, forces) {
    found.s.forEach((s, j) => {
      put(cells[j][0], s);
      found.shares.forEach((shares, number) => put(cells[j][number + 1], shares[j]));
    });
    put(cells[negatives.length][0], found.sPos);
    forces.forEach((force, number) => put(cells[negatives.length][number + 1], Math.hypot(...force)));
  }

  function draw() {
    const found = computeWeights(anchor, positive, negatives, tau(), k);
    const forces = found.weights.map(forceOf);
    drawGrid(svg, yaw, pitch);
    keys.forEach((key, j) => placeMark(marks[j], project(key, yaw, pitch)));
    drawAnchor();
    forces.forEach((force, number) => arrows[number].setAttribute("d", arrowPath(force)));
    drawPushes(found.weights[loss], found.shares[loss]);
    drawTable(found, forces);
    const nearest = found.s.indexOf(Math.max(...found.s)) + 1;
    const sentence = scene.sentence.replace("TAU", tau()).replace("POS", found.sPos.toFixed(2))
      .replace("TOP", nearest).replace("SHARE", Math.max(...found.shares[0]).toFixed(2));
    svg.setAttribute("aria-label", sentence);
    if (timer === null) one(".says").textContent = sentence;  // not at every picture while it runs
    one("[data-quantity=tau]").dataset.value = tau();
    one("[data-quantity=tau]").textContent = tau();
    slider.setAttribute("aria-valuetext", "tau = " + tau());
  }

  function hold() {
    cancelAnimationFrame(timer);
    timer = null;
    release.textContent = "Let go";
  }

  function putAnchor(point) {
    hold();
    trail = [];
    anchor = normalise(point);
    draw();
  }

  // One step of gradient descent on the chosen loss; false once the force has died.
  function descend() {
    const force = forceOf(computeWeights(anchor, positive, negatives, tau(), k).weights[loss]);
    if (Math.hypot(...force) < AT_REST || trail.length > MOST_STEPS) return false;
    anchor = normalise(anchor.map((x, axis) => x + STEP * force[axis]));
    trail.push(anchor);
    return true;
  }

  function letGo() {
    trail = [anchor];
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      while (descend());
      draw();
      return;
    }
    release.textContent = "Hold";
    const tick = () => {
      if (descend()) timer = requestAnimationFrame(tick);
      else hold();
      draw();
    };
    timer = requestAnimationFrame(tick);
  }

  function turn(right, up) {
    yaw += right;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + up));
    draw();
  }

  // Along the sphere, as it is seen.
  function move(right, up) {
    const seen = project(anchor, yaw, pitch);
    const near = seen[2] - (right * seen[0] + up * seen[1]) * Math.sign(seen[2]);
    putAnchor(unproject(normalise([seen[0] + right, seen[1] + up, near]), yaw, pitch));
  }

  // Where the pointer is, on the near side of the sphere.
  function pointAt(event) {
    const box = svg.getBoundingClientRect();
    const scale = 2.24 / box.width;
    const x = (event.clientX - box.left) * scale - 1.12;
    const y = 1.12 - (event.clientY - box.top) * scale;
    const r = Math.max(1, Math.hypot(x, y) * 1.001);
    const near = Math.sqrt(Math.max(0, 1 - (x * x + y * y) / (r * r)));
    return unproject([x / r, y / r, near], yaw, pitch);
  }

  // What the points of a scene show, under the names that they have on the sphere.
  function showPictures() {
    const list = one(".pictures");
    const names = ["anchor", "+", ...negatives.map((_, j) => String(j + 1))];
    list.replaceChildren(...scene.pictures.map(([place, shows], number) => {
      const item = document.createElement("li");
      const image = document.createElement("img");
      const name = document.createElement("small");
      image.src = images[place];
      image.alt = shows;
      name.textContent = names[number];
      item.append(image, name);
      return item;
    }));
    list.hidden = scene.pictures.length === 0;
    one(".note").textContent = scene.note;
    one(".note").hidden = scene.note === "";
  }

  function chooseScene(number) {
    scene = scenes[number];
    keys = scene.keys.map(normalise);
    [positive, ...negatives] = keys;
    yaw = scene.yaw;
    pitch = scene.pitch;
    if (select !== null) showPictures();
    putAnchor(scene.anchor);
  }

  globe.tabIndex = 0;
  globe.setAttribute("role", "application");
  globe.setAttribute("aria-label", "anchor on a sphere; the arrow keys move it, with Shift they turn the sphere");
  globe.addEventListener("keydown", (event) => {
    const direction = arrowKey(event);
    if (direction === null) return;
    event.preventDefault();
    if (event.shiftKey) turn(direction[0] * Math.PI / 24, direction[1] * Math.PI / 24);
    else move(direction[0] * 0.08, direction[1] * 0.08);
  });
  turnByDrag(globe, turn, (event) => event.target !== handle);
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) putAnchor(pointAt(event));
  });
  slider.addEventListener("input", () => {
    if (timer === null) trail = [];
    draw();
  });
  for (const button of all("[data-tau]")) {
    button.addEventListener("click", () => {
      slider.value = taus.indexOf(Number(button.dataset.tau));
      draw();
    });
  }
  for (const button of all("[data-to]")) {
    button.addEventListener("click", () => putAnchor(keys[Number(button.dataset.to)]));
  }
  all("[name=loss]").forEach((radio, number) => {
    radio.name = "loss-" + [...document.querySelectorAll(".gradient-sphere")].indexOf(root);  // a group of its own
    radio.addEventListener("change", () => {
      loss = number;
      draw();
    });
  });
  one("[data-do=reset]").addEventListener("click", () => {
    slider.value = firstStop;
    chooseScene(scenes.indexOf(scene));
  });
  release.addEventListener("click", () => {
    if (timer === null) {
      letGo();
    } else {
      hold();
      draw();
    }
  });
  slider.disabled = false;
  for (const part of [handle, one(".tasks"), one(".help"), ...all(".single")]) part.hidden = false;
  if (select !== null) {
    one(".sources").hidden = false;
    select.selectedIndex = 0;  // a browser may remember another one
    select.addEventListener("change", () => chooseScene(select.selectedIndex));
  }
  chooseScene(0);
}
