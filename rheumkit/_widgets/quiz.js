// Questions with answers to choose from; every answer is explained.
function render({ model, el }) {
  const questions = model.get("questions"), given = [...model.get("given")];
  el.classList.add("rk");
  el.dataset.lmSuppressShortcuts = "true";
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", model.get("name"));
  questions.forEach((question, q) => {
    const field = document.createElement("fieldset"), legend = document.createElement("legend"), why = document.createElement("p");
    legend.textContent = question.text;
    field.append(legend);
    why.className = "rk-why";
    why.setAttribute("role", "status");
    const group = `rk-${Math.random().toString(36).slice(2)}`;
    const tell = a => {
      const mark = document.createElement("b");
      mark.textContent = question.marks[a];
      why.replaceChildren(mark, ` ${question.whys[a]}`);
    };
    question.answers.forEach((answer, a) => {
      const label = document.createElement("label"), input = Object.assign(document.createElement("input"), { type: "radio", name: group, checked: given[q] === a });
      label.className = "rk-answer";
      const text = document.createElement("span");
      text.textContent = answer;
      label.append(input, text);
      field.append(label);
      input.addEventListener("change", () => {
        given[q] = a;
        tell(a);
        model.set("given", [...given]);
        model.save_changes();
      });
    });
    if (!question.answers.length) {
      const input = Object.assign(document.createElement("input"), { type: "text", placeholder: "Your guess" });
      input.setAttribute("aria-label", "Your guess");
      input.addEventListener("change", () => { why.textContent = input.value ? `Your guess: ${input.value}. Now run the next cell.` : ""; });
      field.append(input);
    }
    if (given[q] >= 0) tell(given[q]);
    field.append(why);
    el.append(field);
  });
  el.addEventListener("keydown", event => event.stopPropagation());
}
export default { render };
