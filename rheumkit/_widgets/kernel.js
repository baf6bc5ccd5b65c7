// A kernel to paint: click or drag weights on the board, and the picture follows, computed in the page.
function render({ model, el }) {
  const [rows, columns] = model.get("shape"), side = model.get("side"), alt = model.get("alt"), presets = model.get("presets"), zoom = model.get("zoom");
  const bytes = model.get("pixels"), pixels = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + rows * columns * 4));
  let weights = [...model.get("weights")], ink = 1, waiting = false, syncing = 0;

  el.classList.add("rk");
  el.dataset.lmSuppressShortcuts = "true";
  const row = document.createElement("div"), left = document.createElement("div"), board = document.createElement("div"), canvas = document.createElement("canvas"), said = document.createElement("p");
  row.className = "rk-row";
  board.className = "rk-board";
  board.style.gridTemplateColumns = `repeat(${side}, max-content)`;
  board.setAttribute("role", "group");
  board.setAttribute("aria-label", "Weights of the kernel. Arrow keys: another weight. Plus and minus, or a number: its value.");
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.width = `${Math.round(columns * zoom)}px`;
  canvas.setAttribute("role", "img");
  said.className = "rk-said";
  said.setAttribute("aria-live", "polite");
  const pens = document.createElement("div"), ready = document.createElement("div");
  pens.className = ready.className = "rk-buttons";
  pens.setAttribute("role", "group");
  pens.setAttribute("aria-label", "What to paint with");
  ready.setAttribute("role", "group");
  ready.setAttribute("aria-label", "Kernels to start from");
  left.append(pens, board, ready);
  row.append(left, canvas);
  el.append(row, said);

  const brush = canvas.getContext("2d"), paper = brush.createImageData(columns, rows), out = new Float32Array(rows * columns), half = side >> 1;
  function draw() {
    waiting = false;
    out.fill(0);
    for (let k = 0; k < side * side; k++) {
      const w = weights[k];
      if (!w) continue;
      const dy = Math.floor(k / side) - half, dx = k % side - half;
      for (let y = Math.max(0, -dy); y < Math.min(rows, rows - dy); y++) {
        const to = y * columns, from = (y + dy) * columns + dx;
        for (let x = Math.max(0, -dx), end = Math.min(columns, columns - dx); x < end; x++) out[to + x] += w * pixels[from + x];
      }
    }
    let most = 1e-6, signed = false;
    for (let i = 0; i < out.length; i++) { const a = Math.abs(out[i]); if (a > most) most = a; if (out[i] < 0) signed = true; }
    const p = paper.data;
    for (let i = 0, o = 0; i < out.length; i++, o += 4) { p[o] = p[o + 1] = p[o + 2] = signed ? 127.5 + 127.5 * out[i] / most : 255 * out[i] / most; p[o + 3] = 255; }
    brush.putImageData(paper, 0, 0);
    clearTimeout(syncing);
    syncing = setTimeout(() => {
      const lines = Array.from({ length: side }, (_, r) => weights.slice(r * side, (r + 1) * side).map(show).join(" ")).join("; ");
      const sum = weights.reduce((a, b) => a + b, 0);
      said.textContent = `Kernel: ${lines}. Sum of the weights: ${show(sum)}. ${signed ? "Middle grey is zero." : "Black is zero."}`;
      canvas.setAttribute("aria-label", `${alt} Kernel ${lines}.`);
      model.set("weights", [...weights]);
      model.save_changes();
    }, 250);
  }
  const show = w => String(Math.round(w * 100) / 100).replace("-", "−");
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  const cells = weights.map((_, k) => {
    const cell = document.createElement("div");
    cell.className = "rk-cell";
    cell.tabIndex = k === half * side + half ? 0 : -1;
    cell.setAttribute("role", "spinbutton");
    cell.setAttribute("aria-label", `weight in row ${Math.floor(k / side) + 1}, column ${k % side + 1}`);
    cell.dataset.k = k;
    board.append(cell);
    return cell;
  });
  function colour(k) {
    const w = weights[k], share = Math.min(1, Math.abs(w) / 2), cell = cells[k];
    cell.textContent = show(w);
    cell.setAttribute("aria-valuenow", w);
    cell.style.background = w > 0 ? `rgb(${255 - 205 * share}, ${255 - 125 * share}, 255)` : w < 0 ? `rgb(255, ${255 - 95 * share}, ${255 - 205 * share})` : "#fff";
    cell.style.color = "#000";
  }
  function set(k, w) { weights[k] = Math.max(-9, Math.min(9, w)); colour(k); soon(); }
  function take(all) { weights = [...all]; weights.forEach((_, k) => colour(k)); soon(); }

  for (const w of [-2, -1, 0, 1, 2]) {
    const pen = document.createElement("button");
    pen.type = "button";
    pen.textContent = show(w);
    pen.setAttribute("aria-label", `paint with ${show(w)}`);
    pen.setAttribute("aria-pressed", w === ink);
    pen.addEventListener("click", () => { ink = w; [...pens.children].forEach(b => b.setAttribute("aria-pressed", b === pen)); });
    pens.append(pen);
  }
  for (const [name, values] of Object.entries(presets)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => take(values));
    ready.append(button);
  }
  const under = event => { const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest(".rk-cell"); return cell && board.contains(cell) ? +cell.dataset.k : -1; };
  board.addEventListener("pointerdown", event => {
    const k = under(event);
    if (k < 0) return;
    event.preventDefault();
    cells[k].focus();
    set(k, ink);
    const drag = e => { const j = under(e); if (j >= 0 && weights[j] !== ink) set(j, ink); };
    const end = () => { window.removeEventListener("pointermove", drag); window.removeEventListener("pointerup", end); };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", end);
  });
  board.addEventListener("keydown", event => {
    const k = cells.indexOf(document.activeElement);
    if (k < 0) return;
    const go = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: side, ArrowUp: -side }[event.key];
    if (go !== undefined) {
      const to = k + go;
      if (to >= 0 && to < cells.length && !(Math.abs(go) === 1 && Math.floor(to / side) !== Math.floor(k / side))) { cells[k].tabIndex = -1; cells[to].tabIndex = 0; cells[to].focus(); }
    } else if (event.key === "+" || event.key === "=") set(k, weights[k] + 1);
    else if (event.key === "-") set(k, weights[k] - 1);
    else if (/^[0-9]$/.test(event.key)) set(k, +event.key);
    else if (event.key === " " || event.key === "Enter") set(k, ink);
    else return;
    event.preventDefault();
  });
  el.addEventListener("keydown", event => event.stopPropagation());
  take(weights);
}
export default { render };
