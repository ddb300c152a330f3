const FRAMES_PER_SECOND = 8;
const STILLS = 5;  // what a reader sees who asked for less motion, a second each

// Uniformity at t = 2, and tolerance per pair of one class.
function measure(points, labels) {
  const count = points.length;
  let repulsion = 0;
  let similarity = 0;
  let sameClass = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      const cosine = dot(points[i], points[j]);
      repulsion += Math.exp(4 * cosine - 4);  // a squared distance is 2 - 2 cosine
      if (labels[i] === labels[j]) {
        similarity += cosine;
        sameClass += 1;
      }
    }
  }
  return { uniformity: -Math.log(repulsion / (count * (count - 1) / 2)), tolerance: similarity / sameClass };
}

// The films [T][F][N] of unit vectors, from 16-bit integers in base64.
function readFilms(text, films, moments, count) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  let place = 0;
  const next = () => {
    place += 2;
    return view.getInt16(place - 2, true);
  };
  const readPoints = () => Array.from({ length: count }, () => normalise([next(), next(), next()]));
  const readFilm = () => Array.from({ length: moments }, readPoints);
  return Array.from({ length: films }, readFilm);
}

function startTrainingFilm(root) {
  const SVG = "http://www.w3.org/2000/svg";
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const labels = JSON.parse(root.dataset.labels);
  const taus = JSON.parse(root.dataset.taus);
  const steps = JSON.parse(root.dataset.steps);
  const last = steps.length - 1;
  const films = readFilms(root.dataset.frames, taus.length, steps.length, labels.length);
  const measures = films.map((film) => film.map((points) => measure(points, labels)));
  const low = Number(root.dataset.low);
  const top = Number(root.dataset.top);
  const spheres = all(".live figure[data-k]");
  const slider = one("input");
  const play = one("[data-do=play]");
  let time = last;  // a frame's number; fractions lie between two frames
  let yaw = Number(root.dataset.yaw);
  let pitch = Number(root.dataset.pitch);
  let timer = null;  // of the next picture while it plays

  function add(parent, tag, className, text = "") {
    const node = document.createElementNS(SVG, tag);
    node.setAttribute("class", className);
    node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  const classes = [...new Set(labels)];
  const marks = spheres.map((sphere) => (
    labels.map((label) => add(sphere.querySelector("svg g"), "text", "k" + classes.indexOf(label), label))));

  // The plane: for each film the whole way dotted, the way so far, and where it is.
  const place = (measured) => [
    120 * measured.uniformity / top,
    100 - 100 * (measured.tolerance - low) / (1 - low),
  ];
  const path = (measured) => "M" + measured.map((m) => place(m).map((x) => x.toFixed(1)).join(" ")).join("L");
  const plane = one(".plane g");
  const ways = taus.map((tau, k) => {
    const rest = add(plane, "path", "rest");
    rest.setAttribute("d", path(measures[k]));
    const dot = add(plane, "circle", "here");
    dot.setAttribute("r", 3.5);
    return { way: add(plane, "path", "way d" + k % 3), dot, name: add(plane, "text", "name", tau) };
  });

  // A point between two frames. The small number keeps a direction where the two are opposite.
  function between(before, after, share) {
    return normalise(before.map((x, axis) => (1 - share) * x + share * after[axis] + 1e-9));
  }

  function drawSphere(k) {
    const frame = Math.floor(time);
    const next = Math.min(frame + 1, last);
    drawGrid(spheres[k].querySelector("svg"), yaw, pitch);
    marks[k].forEach((mark, i) => {
      const point = between(films[k][frame][i], films[k][next][i], time - frame);
      placeMark(mark, project(point, yaw, pitch));
    });
  }

  function put(parent, name, value, text) {
    const node = parent.querySelector('[data-quantity="' + name + '"]');
    node.dataset.value = value;
    node.textContent = text;
  }

  function draw() {
    const frame = Math.floor(time);
    const ends = [];
    taus.forEach((tau, k) => {
      const { uniformity, tolerance } = measures[k][frame];
      drawSphere(k);
      put(spheres[k], "uniformity", uniformity, uniformity.toFixed(2));
      put(spheres[k], "tolerance", tolerance, tolerance.toFixed(2));
      const [x, y] = place(measures[k][frame]);
      ways[k].dot.setAttribute("cx", x.toFixed(1));
      ways[k].dot.setAttribute("cy", y.toFixed(1));
      ways[k].name.setAttribute("x", (x + 14).toFixed(1));
      ways[k].name.setAttribute("y", y.toFixed(1));
      ways[k].way.setAttribute("d", path(measures[k].slice(0, frame + 1)));
      ends.push(uniformity.toFixed(2) + " and " + tolerance.toFixed(2) + " at τ = " + tau);
    });
    put(root, "step", steps[frame], steps[frame]);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", "step " + steps[frame]);
    if (timer === null) {  // a screen reader is not told every picture of the film
      one(".says").textContent = "Step " + steps[frame] + ": uniformity (even spread: " + root.dataset.ceiling
        + ") and tolerance are " + ends.join(", ") + ".";
    }
  }

  function stop() {
    cancelAnimationFrame(timer);
    timer = null;
    play.textContent = "Play";
  }

  function goTo(frame) {
    stop();
    time = Math.max(0, Math.min(last, frame));
    draw();
  }

  function start() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const begin = performance.now();
    const from = time < last ? time : 0;
    play.textContent = "Pause";
    const tick = (now) => {
      const seconds = Math.max(0, now - begin) / 1000;
      if (calm) {
        time = Math.round(from + Math.floor(seconds) * last / STILLS);
      } else {
        time = from + seconds * FRAMES_PER_SECOND;
      }
      time = Math.min(last, time);
      if (time >= last) {
        stop();
      } else {
        timer = requestAnimationFrame(tick);
      }
      draw();
    };
    timer = requestAnimationFrame(tick);
  }

  function turn(right, up) {
    yaw += right;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + up));
    draw();
  }

  play.addEventListener("click", () => {
    if (timer === null) start();
    else goTo(Math.floor(time));
  });
  one("[data-do=back]").addEventListener("click", () => goTo(Math.ceil(time) - 1));
  one("[data-do=on]").addEventListener("click", () => goTo(Math.floor(time) + 1));
  slider.addEventListener("input", () => goTo(slider.valueAsNumber));
  for (const globe of all(".globe")) {
    turnByDrag(globe, turn);
    globe.addEventListener("keydown", (event) => {
      const direction = arrowKey(event);
      if (direction === null) return;
      event.preventDefault();
      turn(direction[0] * Math.PI / 24, direction[1] * Math.PI / 24);
    });
  }
  one(".still").hidden = true;
  one(".moving").hidden = false;
  draw();
}
