"use strict";
{
  const N = 10242, { min, max, floor, ceil, round, abs, hypot } = Math;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
.cortex-live canvas { display: block; width: 100%; touch-action: pan-y; }
.cx-bar { display: flex; flex-wrap: wrap; gap: .5rem 1.1rem; margin-bottom: .6rem; font-size: .85rem; }
.cx-bar [hidden] { display: none; }
.cx-bar label { display: inline-flex; flex-wrap: wrap; gap: .45rem; align-items: center; color: var(--muted); }
.cx-bar :is(button, select) { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: .3rem; padding: .22rem .6rem; max-width: 100%; cursor: pointer; }
.cx-bar button[aria-pressed="true"] { background: var(--accent); color: var(--paper); }
.cx-bar input { accent-color: var(--accent); width: 9.5rem; }
.cx-bar output { min-width: 4.5rem; }
.cx-set, .cx-chips { display: flex; flex-wrap: wrap; gap: .25rem; }
.cx-said { display: block; min-height: 1.6em; font-size: .85rem; }
.cx-scale, .cx-hist, .cx-under { max-width: 34rem; }
.cx-scale, .cx-under { font-size: .78rem; color: var(--muted); }
.cx-strip { height: .8rem; border: 1px solid var(--line); }
.cx-ends { display: flex; justify-content: space-between; gap: 1rem; }
.cx-chips { gap: .9rem; }
.cx-chips i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }
@media print { .cortex-live { display: none !important; } .cortex-still { display: block !important; } }
  `);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const shorts = (text) => {
    const raw = bytes(text), view = new DataView(raw.buffer);
    return Uint16Array.from({ length: raw.length / 2 }, (_, n) => view.getUint16(2 * n, true));
  };
  const unpack = (part) => {
    const codes = part.bits === 8 ? bytes(part.data) : shorts(part.data);
    const none = part.bits === 8 ? 255 : 65535;
    return Float64Array.from(codes, (c) => (c === none ? NaN : part.low + c * part.step));
  };
  const write = (v) => !Number.isFinite(v) ? "–"
    : v && (abs(v) < 1e-3 || abs(v) >= 1e5) ? v.toExponential(1) : String(+v.toPrecision(3));
  const on = (node, what, act) => node.addEventListener(what, act);
  const mark = (node, name, value) => node.setAttribute(name, value);
  const make = (tag, parent, text, traits = {}) => {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    for (const [name, value] of Object.entries(traits)) mark(node, name, value);
    if (parent) parent.append(node);
    return node;
  };
  const clamp = (v, low, high) => min(high, max(low, v));
  const colour = (c) => `rgb(${c.join(",")})`;
  const shade = ({ colors, low, high }, v) =>
    colors[round(clamp((v - low) / (high - low || 1), 0, 1) * (colors.length - 1))];

  // Rows of each matrix: to the right, up, towards the reader (x right, y front, z up).
  const VIEWS = {
    lateral: [[0, -1, 0, 0, 0, 1, -1, 0, 0], [0, 1, 0, 0, 0, 1, 1, 0, 0]],
    medial: [[0, 1, 0, 0, 0, 1, 1, 0, 0], [0, -1, 0, 0, 0, 1, -1, 0, 0]],
    ventral: [[0, -1, 0, -1, 0, 0, 0, 0, -1], [0, 1, 0, 1, 0, 0, 0, 0, -1]],
    dorsal: [[0, 1, 0, -1, 0, 0, 0, 0, 1], [0, -1, 0, 1, 0, 0, 0, 0, 1]],
  };
  const product = (a, b) =>
    Array.from({ length: 9 }, (_, n) => {
      const r = 3 * floor(n / 3), c = n % 3;
      return a[r] * b[c] + a[r + 1] * b[c + 3] + a[r + 2] * b[c + 6];
    });

  let loaded = null;
  const load = () => {
    if (loaded) return loaded;
    const raw = JSON.parse(document.getElementById("cortex-mesh").textContent);
    const faces = shorts(raw.faces);
    loaded = raw.sides.map((side) => {
      const read = ({ data, low, step }) =>
        Float64Array.from(shorts(data), (c, n) => (c === 65535 ? NaN : low[n % low.length] + c * step[n % low.length]));
      const points = read(side.inflated), flat = read(side.flat), normals = new Float64Array(3 * N);
      for (let f = 0; f < faces.length; f += 3) {
        const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
        const [[ux, uy, uz], [vx, vy, vz]] = [b, c].map((to) => [0, 1, 2].map((k) => points[to + k] - points[a + k]));
        const across = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
        for (const at of [a, b, c]) for (let k = 0; k < 3; k++) normals[at + k] += across[k];
      }
      for (let n = 0; n < 3 * N; n += 3) {
        const length = hypot(normals[n], normals[n + 1], normals[n + 2]) || 1;
        for (let k = 0; k < 3; k++) normals[n + k] /= length;
      }
      // Of a cut surface only faces whose corners stayed neighbours are left.
      const kept = [];
      for (let f = 0; f < faces.length; f += 3) {
        const at = [2 * faces[f], 2 * faces[f + 1], 2 * faces[f + 2]];
        const near = at.every((a, n) => {
          const b = at[(n + 1) % 3];
          return hypot(flat[a] - flat[b], flat[a + 1] - flat[b + 1]) < raw.longest;
        });
        if (near) kept.push(faces[f], faces[f + 1], faces[f + 2]);
      }
      return { points, flat, normals, faces, cut: Uint16Array.from(kept), grey: bytes(side.grey) };
    });
    return loaded;
  };

  // A depth buffer in software, which knows the vertex under each pixel.
  const paint = (pixels, seen, depth, width, box, mesh, first, turn, flat, rgb, known) => {
    const x = new Float64Array(N), y = new Float64Array(N), z = new Float64Array(N), lit = new Float64Array(N);
    const scale = flat ? min(box.w / 335, box.h / 292) : min(box.w / 226, box.h / 152);
    const cx = box.x + box.w / 2, cy = box.y + box.h / 2;
    for (let n = 0; n < N; n++) {
      if (flat) {
        x[n] = cx + scale * mesh.flat[2 * n];
        y[n] = cy - scale * mesh.flat[2 * n + 1];
        lit[n] = 1;
        continue;
      }
      const p = mesh.points, m = mesh.normals, i = 3 * n;
      x[n] = cx + scale * (turn[0] * p[i] + turn[1] * p[i + 1] + turn[2] * p[i + 2]);
      y[n] = cy - scale * (turn[3] * p[i] + turn[4] * p[i + 1] + turn[5] * p[i + 2]);
      z[n] = turn[6] * p[i] + turn[7] * p[i + 1] + turn[8] * p[i + 2];
      const up = turn[3] * m[i] + turn[4] * m[i + 1] + turn[5] * m[i + 2];
      const near = turn[6] * m[i] + turn[7] * m[i + 1] + turn[8] * m[i + 2];
      lit[n] = 0.6 + 0.43 * clamp(0.33 * up + 0.94 * near, 0, 1);
    }
    const faces = flat ? mesh.cut : mesh.faces;
    for (let f = 0; f < faces.length; f += 3) {
      const a = faces[f], b = faces[f + 1], c = faces[f + 2];
      const area = (x[c] - x[a]) * (y[b] - y[a]) - (x[b] - x[a]) * (y[c] - y[a]);
      if (!(area > 0)) continue;
      const left = max(box.x, ceil(min(x[a], x[b], x[c])));
      const right = min(box.x + box.w - 1, floor(max(x[a], x[b], x[c])));
      const top = max(box.y, ceil(min(y[a], y[b], y[c])));
      const low = min(box.y + box.h - 1, floor(max(y[a], y[b], y[c])));
      for (let v = top; v <= low; v++) {
        for (let u = left; u <= right; u++) {
          const one = ((x[c] - u) * (y[b] - v) - (x[b] - u) * (y[c] - v)) / area;
          const two = ((x[a] - u) * (y[c] - v) - (x[c] - u) * (y[a] - v)) / area;
          const three = 1 - one - two;
          if (one < -1e-9 || two < -1e-9 || three < -1e-9) continue;
          const at = v * width + u, deep = one * z[a] + two * z[b] + three * z[c];
          if (deep < depth[at]) continue;
          depth[at] = deep;
          // Of the corners that hold a value the nearest, else the nearest of all.
          const p = one + known[first + a], q = two + known[first + b], r = three + known[first + c];
          const near = p >= q && p >= r ? a : q >= r ? b : c;
          const light = one * lit[a] + two * lit[b] + three * lit[c], from = 3 * (first + near);
          seen[at] = first + near + 1;
          for (let k = 0; k < 3; k++) pixels[4 * at + k] = rgb[from + k] * light;
          pixels[4 * at + 3] = 255;
        }
      }
    }
  };

  const showMaps = (live, payload) => {
    const meshes = load();
    const where = shorts(payload.vertices), place = new Int32Array(2 * N).fill(-1);
    where.forEach((vertex, n) => { place[vertex] = n; });
    const regions = payload.regions ? shorts(payload.regions.codes) : null;
    const metrics = payload.metrics.map((m) => ({ ...m, maps: m.maps.map(unpack) }));
    const state = { metric: 0, step: payload.start, cut: 0, view: payload.view, yaw: 0, pitch: 0, flat: false };
    const most = max(...metrics.map((m) => m.maps.length));
    const bar = make("div", live, "", { class: "cx-bar" });
    const control = (text, tag, traits) => {
      const label = make("label", bar, text);
      return [make(tag, label, "", traits), make("output", label), label];
    };
    const [select] = control("shown", "select");
    metrics.forEach((m, n) => make("option", select, m.name, { value: n }));
    const [step, stepSaid, stepLabel] = control(payload.along, "input", { type: "range", min: 0, max: most - 1, value: payload.start });
    stepLabel.hidden = most === 1;
    const [cut, cutSaid, cutLabel] = control("threshold", "input", { type: "range", min: 0, max: 100, value: 0 });
    const views = make("div", bar, "", { class: "cx-set", role: "group", "aria-label": "view" });
    const buttons = Object.keys(VIEWS).map((name) => {
      const button = make("button", views, name, { type: "button", "aria-pressed": name === state.view });
      on(button, "click", () => { Object.assign(state, { view: name, yaw: 0, pitch: 0, flat: false }); update(); });
      return button;
    });
    const flat = make("button", bar, "flat", { type: "button", "aria-pressed": false });
    const peak = make("button", bar, "find largest", { type: "button" });
    const canvas = make("canvas", live, "", { tabindex: 0, role: "img" });
    const said = make("output", live, "Point for a value; drag or use arrow keys to turn.", { class: "cx-said" });
    const scale = make("div", live, "", { class: "cx-scale" });
    const context = canvas.getContext("2d");
    let seen = new Int32Array(0);

    const current = () => {
      const metric = metrics[state.metric], index = min(state.step, metric.maps.length - 1), map = metric.maps[index];
      // Categories are as large as the score of their own step.
      const by = metric.categories ? metrics[metric.by] : metric;
      const size = (n) => abs(by && by !== metric ? by.maps[map[n]]?.[n] : map[n]);
      return { metric, index, map, by, size, limit: by ? (state.cut / 100) * max(abs(by.low), abs(by.high)) : 0 };
    };
    const tell = (vertex) => {
      state.told = vertex;
      const { metric, index, map } = current(), at = place[vertex];
      const words = [`${vertex < N ? "left" : "right"} vertex ${vertex % N}`];
      if (at >= 0 && regions) words.push(payload.regions.names[regions[at]]);
      const value = at >= 0 ? map[at] : NaN;
      words.push(Number.isFinite(value) ? `${metric.name}: ${metric.categories ? metric.categories[value] : metric.log ? write(10 ** -value) : write(value)}` : "no value");
      if (metric.maps.length > 1) words.push(payload.steps[index]);
      said.textContent = words.filter(Boolean).join(" · ");
    };
    const drawScale = (metric) => {
      scale.replaceChildren();
      make("span", scale, metric.unit);
      if (metric.categories) {
        const chips = make("div", scale, "", { class: "cx-chips" });
        metric.categories.forEach((name, n) => {
          const chip = make("span", chips);
          make("i", chip).style.background = colour(metric.colors[n]);
          chip.append(name);
        });
        return;
      }
      make("div", scale, "", { class: "cx-strip" }).style.background =
        `linear-gradient(to right, ${metric.colors.map(colour).join(",")})`;
      const ends = make("div", scale, "", { class: "cx-ends" });
      for (let n = 0; n < 5; n++) make("span", ends, write(metric.low + (n / 4) * (metric.high - metric.low)));
    };
    const render = () => {
      const wide = live.clientWidth || 700, stacked = wide < 520, sharp = min(2, max(1.5, devicePixelRatio || 1));
      const width = round(min(wide, 1000) * sharp), panel = stacked ? width : floor(width / 2);
      const tall = round(panel / 1.48), height = stacked ? 2 * tall : tall;
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const { metric, map, limit, size } = current();
      const rgb = new Uint8Array(6 * N), known = new Uint8Array(2 * N);
      for (let n = 0; n < 2 * N; n++) {
        const value = place[n] < 0 ? NaN : map[place[n]];
        known[n] = Number.isFinite(value) ? 1 : 0;
        const grey = meshes[n < N ? 0 : 1].grey[n % N];
        const c = !(size(place[n]) >= limit) ? [grey, grey, grey]
          : metric.categories ? metric.colors[value] : shade(metric, value);
        rgb.set(c, 3 * n);
      }
      const image = context.createImageData(width, height);
      const depth = new Float32Array(width * height).fill(-Infinity);
      seen = new Int32Array(width * height);
      meshes.forEach((mesh, side) => {
        const box = { x: stacked ? 0 : side * panel, y: stacked ? side * tall : 0, w: panel, h: tall };
        const sign = side ? -1 : 1, [cy, sy] = [Math.cos(sign * state.yaw), Math.sin(sign * state.yaw)];
        const [cp, sp] = [Math.cos(state.pitch), Math.sin(state.pitch)];
        const turn = product([1, 0, 0, 0, cp, -sp, 0, sp, cp], product([cy, 0, sy, 0, 1, 0, -sy, 0, cy], VIEWS[state.view][side]));
        paint(image.data, seen, depth, width, box, mesh, side * N, turn, state.flat, rgb, known);
      });
      context.putImageData(image, 0, 0);
      Object.assign(context, { font: `${13 * sharp}px sans-serif`, fillStyle: "#808080" });
      context.fillText("left", 8, 18 * sharp);
      context.fillText("right", stacked ? 8 : panel + 8, (stacked ? tall : 0) + 18 * sharp);
    };
    let waiting = 0;
    const draw = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(render); };
    const update = () => {
      const { metric, index, limit, by } = current(), name = payload.steps[index] ?? "";
      step.disabled = metric.maps.length === 1;
      cutLabel.hidden = !by;
      peak.hidden = by !== metric;
      stepSaid.textContent = step.disabled ? "all" : name;
      mark(step, "aria-valuetext", stepSaid.textContent);
      cutSaid.textContent = metric.log ? `${metric.log} ≤ ${write(10 ** -limit)}` : `|${by === metric ? "value" : by?.name}| ≥ ${write(limit)}`;
      mark(cut, "aria-valuetext", cutSaid.textContent);
      buttons.forEach((b) => mark(b, "aria-pressed", !state.flat && b.textContent === state.view));
      mark(flat, "aria-pressed", state.flat);
      mark(canvas, "aria-label", `${metric.name}${metric.maps.length > 1 ? `, ${name}` : ""}, both hemispheres, ${state.flat ? "flat" : state.view} view`);
      if (state.told >= 0) tell(state.told);
      drawScale(metric);
      draw();
    };
    on(select, "change", () => { state.metric = Number(select.value); update(); });
    on(step, "input", () => { state.step = Number(step.value); update(); });
    on(cut, "input", () => { state.cut = Number(cut.value); update(); });
    on(flat, "click", () => { state.flat = !state.flat; update(); });
    on(peak, "click", () => {
      const { map, limit } = current();
      let best = -1;
      map.forEach((v, n) => { if (abs(v) >= limit && (best < 0 || v > map[best])) best = n; });
      if (best >= 0) tell(where[best]);
    });
    const turn = (yaw, pitch) => {
      state.yaw += yaw;
      state.pitch = clamp(state.pitch + pitch, -1.6, 1.6);
      state.flat = false;
      update();
    };
    const KEYS = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] };
    on(canvas, "keydown", (event) => {
      if (!KEYS[event.key]) return;
      event.preventDefault();
      turn(...KEYS[event.key]);
    });
    let held = null;
    on(canvas, "pointerdown", (event) => { held = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
    for (const end of ["pointerup", "pointercancel"]) on(canvas, end, () => { held = null; });
    on(canvas, "pointermove", (event) => {
      if (held) {
        turn((event.clientX - held[0]) / 120, (event.clientY - held[1]) / 120);
        held = [event.clientX, event.clientY];
        return;
      }
      const ratio = canvas.width / canvas.clientWidth;
      const at = floor(event.offsetY * ratio) * canvas.width + floor(event.offsetX * ratio);
      if (seen[at]) tell(seen[at] - 1);
    });
    let last = 0;
    new ResizeObserver(() => { if (live.clientWidth !== last) { last = live.clientWidth; draw(); } }).observe(live);
    update();
  };

  const drawBars = (parent, payload, counts, mean) => {
    const edges = payload.edges, last = edges[edges.length - 1], top = max(1, ...counts);
    const box = make("div", parent, "", { class: "cx-hist", role: "img" });
    mark(box, "aria-label", `Histogram over neuroids, mean ${write(mean)} ${payload.unit}`);
    counts.forEach((count, n) => {
      const bar = make("i", box, "", { title: `${write(edges[n])} to ${write(edges[n + 1])}: ${count}` });
      bar.style.height = `${(100 * count) / top}%`;
    });
    make("b", box).style.left = `${(100 * (mean - edges[0])) / (last - edges[0] || 1)}%`;
    const ends = make("div", parent, "", { class: "cx-ends cx-under" });
    [write(edges[0]), `${payload.unit}, line: mean`, write(last)]
      .forEach((text) => make("span", ends, text));
  };

  const showCells = (live, payload) => {
    const box = make("div", live, "", { class: "cx-cells" });
    const table = make("table", box), head = make("tr", make("thead", table)), body = make("tbody", table);
    make("th", head, payload.row_name, { scope: "col" });
    payload.columns.forEach((name) => make("th", head, name, { scope: "col" }));
    const detail = make("div", live, "", { class: "cx-detail", "aria-live": "polite" });
    let chosen = null;
    const open = (button, r, c) => {
      if (chosen) mark(chosen, "aria-pressed", false);
      chosen = button;
      mark(button, "aria-pressed", true);
      const cell = payload.cells[r][c];
      detail.replaceChildren();
      make("strong", detail, `${payload.rows[r]} in ${payload.columns[c]}`);
      const list = make("ul", detail);
      cell.facts.forEach((fact) => make("li", list, fact));
      if (cell.counts) drawBars(detail, payload, cell.counts, cell.mean);
    };
    payload.rows.forEach((row, r) => {
      const line = make("tr", body);
      make("th", line, row, { scope: "row" });
      payload.columns.forEach((column, c) => {
        const cell = payload.cells[r][c], value = cell.mean, none = value === null;
        const text = none ? "–" : `${value.toFixed(2)}${cell.star ? " ★" : ""}${cell.planted ? " ●" : ""}`;
        const button = make("button", make("td", line), text, { type: "button", "aria-pressed": false });
        mark(button, "aria-label", `${row} in ${column}: ${text}${cell.hatched ? ", ceiling too low" : ""}${cell.best ? ", best" : ""}${cell.planted ? ", planted" : ""}`);
        if (cell.best) button.classList.add("best");
        const c3 = none ? [128, 128, 128] : shade(payload, value);
        button.style.backgroundColor = colour(c3);
        if (cell.hatched) button.style.backgroundImage = "repeating-linear-gradient(45deg, transparent 0 5px, rgba(255,255,255,.55) 5px 7px)";
        button.style.color = 0.3 * c3[0] + 0.59 * c3[1] + 0.11 * c3[2] > 140 ? "#111" : "#fff";
        on(button, "click", () => open(button, r, c));
      });
    });
  };

  const FORMS = { maps: showMaps, cells: showCells };
  for (const figure of document.querySelectorAll("figure.cortex")) {
    const live = figure.querySelector(".cortex-live");
    const payload = JSON.parse(document.getElementById(figure.dataset.payload).textContent);
    live.hidden = false;
    FORMS[payload.form](live, payload);
    // Last: the picture stays where something fails.
    figure.querySelector(".cortex-still").style.display = "none";
  }
}
