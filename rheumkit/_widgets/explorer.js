// A picture with knobs. The kernel draws, one picture at a time; the page keeps what was drawn, and asks ahead for the neighbours of
// where the knobs stand, so that a slider that is moved finds its pictures there already.
const KEEP = 400;          // pictures kept
const AHEAD = 6000;        // milliseconds of drawing that may be asked for ahead, after each touch

function render({ model, el }) {
  const knobs = model.get("knobs"), alt = model.get("alt");
  const at = [...model.get("positions")];
  const kept = new Map();            // key -> address of the picture
  let busy = null, shown = null, touched = 0, asked = 0, budget = 0, gone = false, speaking = 0, syncing = 0;

  el.classList.add("rk");
  el.dataset.lmSuppressShortcuts = "true";
  const panel = document.createElement("div");
  panel.className = "rk-knobs";
  const image = document.createElement("img");
  const said = document.createElement("p");
  said.className = "rk-said";
  said.setAttribute("aria-live", "polite");
  el.append(panel, image, said);

  const text = (knob, i) => knob.kind === "slider" ? (knob.low + i * knob.step).toFixed(knob.decimals) : knob.kind === "choice" ? knob.options[i] : i ? "yes" : "no";
  const count = knob => knob.kind === "slider" ? Math.round((knob.high - knob.low) / knob.step) + 1 : knob.kind === "choice" ? knob.options.length : 2;
  const setting = () => knobs.map((knob, k) => `${knob.label} = ${text(knob, at[k])}`).join(", ");
  const key = positions => positions.join(" ");

  function speak() {
    clearTimeout(speaking);
    speaking = setTimeout(() => { if (said.dataset.wrong !== "1") said.textContent = `${alt} Now: ${setting()}.`; }, 250);
    clearTimeout(syncing);
    syncing = setTimeout(() => { model.set("positions", [...at]); model.save_changes(); }, 300);
  }
  function calm() {
    if (said.dataset.wrong !== "1") return;
    said.dataset.wrong = "0";
    said.classList.remove("rk-wrong");
    speak();
  }
  function show(name) {
    calm();
    if (shown === name) return;
    shown = name;
    image.src = kept.get(name);
    image.alt = `${alt} Here with ${setting()}.`;
  }
  function keep(name, buffer) {
    if (kept.has(name)) return;
    kept.set(name, URL.createObjectURL(new Blob([buffer], { type: "image/png" })));
    if (kept.size > KEEP) {
      const oldest = [...kept.keys()].find(k => k !== shown && k !== name);
      URL.revokeObjectURL(kept.get(oldest));
      kept.delete(oldest);
    }
  }
  function next() {                                   // what to ask for: where the knobs stand, else a neighbour along the knob last touched
    if (busy || gone) return;
    if (kept.has(key(at)) && key(at) !== shown) show(key(at));
    let wanted = kept.has(key(at)) ? null : [...at];
    if (!wanted && budget > 0 && !document.hidden) {
      const here = at[touched], many = count(knobs[touched]);
      for (let d = 1; d < many && !wanted; d++)
        for (const i of [here + d, here - d]) {
          if (i < 0 || i >= many) continue;
          const near = [...at];
          near[touched] = i;
          if (!kept.has(key(near))) { wanted = near; break; }
        }
    }
    if (!wanted) return;
    busy = key(wanted);
    asked = performance.now();
    model.send({ draw: wanted, key: busy });
  }
  function moved(k, i) {
    at[k] = i;
    touched = k;
    budget = AHEAD;
    if (kept.has(key(at))) show(key(at));
    speak();
    next();
  }
  function answered(content, buffers) {
    if (!content || content.key === undefined) return;
    if (busy === content.key) { budget -= performance.now() - asked; busy = null; }
    if (content.error) {
      if (content.key === key(at)) { said.dataset.wrong = "1"; said.classList.add("rk-wrong"); said.textContent = content.error; }
      else setTimeout(next, 0);
      budget = 0;
      return;
    }
    keep(content.key, buffers[0]);
    if (content.key === key(at)) show(content.key);
    setTimeout(next, 0);
  }

  knobs.forEach((knob, k) => {
    const id = `rk-${Math.random().toString(36).slice(2)}`;
    const label = document.createElement("label");
    label.textContent = knob.label;
    label.htmlFor = id;
    const value = document.createElement("output");
    let input;
    if (knob.kind === "choice") {
      input = document.createElement("select");
      knob.options.forEach(o => input.append(new Option(o)));
      input.selectedIndex = at[k];
      input.addEventListener("change", () => moved(k, input.selectedIndex));
    } else if (knob.kind === "box") {
      input = Object.assign(document.createElement("input"), { type: "checkbox", checked: !!at[k] });
      input.addEventListener("change", () => moved(k, input.checked ? 1 : 0));
    } else {
      input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: count(knob) - 1, step: 1, value: at[k] });
      const tell = () => { value.textContent = text(knob, +input.value); input.setAttribute("aria-valuetext", text(knob, +input.value)); };
      tell();
      input.addEventListener("input", () => { tell(); moved(k, +input.value); });
    }
    input.id = id;
    value.htmlFor = id;
    panel.append(label, input, value);
  });
  for (const kind of ["keydown", "dblclick"]) el.addEventListener(kind, event => event.stopPropagation());

  const first = model.get("first");
  keep(key(at), first);
  show(key(at));
  said.textContent = `${alt} Now: ${setting()}.`;
  model.on("msg:custom", answered);
  budget = Math.min(AHEAD, model.get("milliseconds") * (count(knobs[0]) - 1) <= AHEAD ? AHEAD : 0);   // ahead of the first touch only where all of it is cheap
  const waking = setTimeout(next, 1500);
  return () => { gone = true; clearTimeout(waking); model.off("msg:custom", answered); kept.forEach(URL.revokeObjectURL); };
}
export default { render };
