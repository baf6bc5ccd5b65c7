// A volume to scroll through: wheel, keys or slider for the slice; drag for the window (sideways its width, up and down its centre).
function render({ model, el }) {
  const [depth, rows, columns] = model.get("shape"), [low, high] = model.get("range"), [tall, wide] = model.get("aspect");
  const voxels = new Uint16Array(model.get("voxels").buffer.slice(model.get("voxels").byteOffset, model.get("voxels").byteOffset + depth * rows * columns * 2));
  const unit = model.get("unit"), alt = model.get("alt"), names = model.get("names"), full = high - low;
  let slice = model.get("slice"), centre = model.get("window")[0], width = model.get("window")[1], waiting = false, syncing = 0, rolled = 0;

  el.classList.add("rk");
  el.dataset.lmSuppressShortcuts = "true";
  const panel = document.createElement("div"), frame = document.createElement("div"), canvas = document.createElement("canvas"), said = document.createElement("p");
  panel.className = "rk-knobs";
  frame.className = "rk-frame";
  frame.tabIndex = 0;
  frame.setAttribute("role", "slider");
  frame.setAttribute("aria-label", `${alt} Slice`);
  frame.setAttribute("aria-valuemin", 1);
  frame.setAttribute("aria-valuemax", depth);
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.width = `${Math.round(wide)}px`;
  canvas.style.aspectRatio = `${wide} / ${tall}`;
  canvas.setAttribute("aria-hidden", "true");
  said.className = "rk-said";
  frame.append(canvas);
  for (const [place, text] of Object.entries(model.get("marks"))) {
    const mark = document.createElement("span");
    mark.className = "rk-mark";
    mark.textContent = text;
    mark.style.cssText = place;
    frame.append(mark);
  }
  el.append(panel, frame, said);
  const brush = canvas.getContext("2d"), paper = brush.createImageData(columns, rows), table = new Uint8Array(65536);

  function draw() {
    waiting = false;
    const black = ((centre - width / 2) - low) / full * 65535, scale = 255 / Math.max(width / full * 65535, 1e-6);
    for (let v = 0; v < 65536; v++) table[v] = Math.max(0, Math.min(255, (v - black) * scale));
    const from = slice * rows * columns, out = paper.data;
    for (let i = 0, o = 0; i < rows * columns; i++, o += 4) { const g = table[voxels[from + i]]; out[o] = out[o + 1] = out[o + 2] = g; out[o + 3] = 255; }
    brush.putImageData(paper, 0, 0);
    const place = names.length ? names[slice] : `slice ${slice + 1} of ${depth}`;
    frame.setAttribute("aria-valuenow", slice + 1);
    frame.setAttribute("aria-valuetext", place);
    said.textContent = `${place}; window: centre ${number(centre)}, width ${number(width)}${unit ? " " + unit : ""}. Wheel or arrow keys: slice. Drag: window.`;
    clearTimeout(syncing);
    syncing = setTimeout(() => { model.set("slice", slice); model.set("window", [centre, width]); model.save_changes(); }, 300);
  }
  const number = v => Math.abs(full) >= 50 ? v.toFixed(0) : v.toPrecision(3);
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  const inputs = {};
  function move(to) { slice = Math.max(0, Math.min(depth - 1, to)); inputs.slice.value = slice; inputs.slice.nextSibling.textContent = slice + 1; soon(); }
  function see(c, w) {
    centre = Math.max(low, Math.min(high, c));
    width = Math.max(full / 500, Math.min(full * 1.5, w));
    for (const [name, value] of [["centre", centre], ["width", width]]) { inputs[name].value = value; inputs[name].nextSibling.textContent = number(value); }
    soon();
  }
  function slider(name, min, max, step, value, act) {
    const id = `rk-${Math.random().toString(36).slice(2)}`, label = document.createElement("label"), output = document.createElement("output");
    const input = Object.assign(document.createElement("input"), { type: "range", id, min, max, step });
    input.value = value;
    label.htmlFor = id;
    label.textContent = name;
    output.textContent = name === "slice" ? value + 1 : number(value);
    input.addEventListener("input", () => act(+input.value));
    inputs[name] = input;
    panel.append(label, input, output);
  }
  slider("slice", 0, depth - 1, 1, slice, move);
  slider("centre", low, high, full / 500, centre, v => see(v, width));
  slider("width", full / 500, full * 1.5, full / 500, width, v => see(centre, v));

  frame.addEventListener("wheel", event => {
    event.preventDefault();
    event.stopPropagation();
    rolled += event.deltaMode ? event.deltaY * 40 : event.deltaY;
    const steps = Math.trunc(rolled / 40);
    if (steps) { rolled -= steps * 40; move(slice + Math.sign(steps) * Math.min(Math.abs(steps), event.deltaMode || Math.abs(event.deltaY) >= 80 ? 1 : 3)); if (Math.abs(event.deltaY) >= 80) rolled = 0; }
  }, { passive: false });
  frame.addEventListener("keydown", event => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 5, PageUp: -5, Home: -depth, End: depth }[event.key];
    if (step) { event.preventDefault(); move(slice + step); }
  });
  frame.addEventListener("pointerdown", event => {
    frame.setPointerCapture(event.pointerId);
    const start = { x: event.clientX, y: event.clientY, centre, width };
    const drag = e => see(start.centre + (start.y - e.clientY) / 300 * full, start.width * Math.exp((e.clientX - start.x) / 150));
    const end = () => { frame.removeEventListener("pointermove", drag); frame.removeEventListener("pointerup", end); frame.removeEventListener("pointercancel", end); };
    frame.addEventListener("pointermove", drag);
    frame.addEventListener("pointerup", end);
    frame.addEventListener("pointercancel", end);
  });
  el.addEventListener("keydown", event => event.stopPropagation());
  draw();
}
export default { render };
