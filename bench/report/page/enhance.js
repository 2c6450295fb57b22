// What the page does beyond standing there; without it nothing is missing.
"use strict";
(() => {
  // The words of a mark under the pointer, or of the one that arrow keys have reached.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  const show = (mark) => {
    const box = mark.getBoundingClientRect();
    hide();
    mark.classList.add("at");
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const left = Math.min(box.right + 8, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
  };
  const hide = () => {
    tip.hidden = true;
    for (const each of document.querySelectorAll(".at")) each.classList.remove("at");
  };
  for (const chart of document.querySelectorAll(".chart")) {
    const marks = [...chart.querySelectorAll(".data_marks > *")];
    if (!marks.length) continue;
    let at = -1;
    chart.tabIndex = 0;
    chart.setAttribute("role", "group");
    chart.setAttribute("aria-label", "Chart; arrow keys go through its marks");
    chart.addEventListener("pointerover", (event) => { if (marks.includes(event.target)) show(event.target); });
    chart.addEventListener("pointerout", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      at = (at + step + marks.length) % marks.length;
      show(marks[at]);
    });
  }
  // Assumptions in fields; cells that follow from them carry their formula: numbers, names, + - * / ( ).
  const cells = [...document.querySelectorAll("td[data-formula]")];
  const given = [...document.querySelectorAll("td.assumption")];
  const named = new Map([...document.querySelectorAll("td[data-id]")].map((cell) => [cell.dataset.id, cell]));
  const built = new Map(cells.map((cell) => [cell, cell.innerHTML]));
  const work = (formula, value) => {
    const tokens = formula.match(/[a-z][a-z0-9_]*|\d+\.?\d*(?:e[+-]?\d+)?|[-+*/()]/g) || [];
    let at = 0;
    const atom = () => {
      const token = tokens[at++];
      if (token === "-") return -atom();
      if (token === "(") { const inside = sum(); at++; return inside; }
      return /^[a-z]/.test(token) ? value(token) : Number(token);
    };
    const product = () => {
      let found = atom();
      while (tokens[at] === "*" || tokens[at] === "/") found = tokens[at++] === "*" ? found * atom() : found / atom();
      return found;
    };
    const sum = () => {
      let found = product();
      while (tokens[at] === "+" || tokens[at] === "-") found = tokens[at++] === "+" ? found + product() : found - product();
      return found;
    };
    return sum();
  };
  const value = (name, known) => {
    if (!known.has(name)) {
      const cell = named.get(name);
      const field = cell && cell.querySelector("input");
      const formula = cell && cell.dataset.formula;
      const own = (each) => value(each, known);
      // What cannot be (a share of 120 %) gives no number.
      known.set(name, field ? (field.validity.valid ? field.valueAsNumber : NaN)
        : formula ? work(formula, own) : Number(cell ? cell.dataset.value : NaN));
    }
    return known.get(name);
  };
  // Ends of a cell's interval, null where it has none that follows; no price, cost or rate lies below 0.
  const ends = (cell, known) => {
    if (!cell.dataset.low) return null;
    return [cell.dataset.low, cell.dataset.high].map((end) => Math.max(0, work(end, (name) => value(name, known))));
  };
  const renew = (cell, known) => {
    const before = Number(cell.dataset.value);
    const now = work(cell.dataset.formula, (name) => value(name, known));
    const same = Math.abs(now - before) <= 1e-6 * Math.abs(before);
    cell.classList.toggle("changed", !same);
    cell.innerHTML = built.get(cell);
    if (same) return;
    const { unit, mark } = cell.dataset;
    const found = now >= 0 ? ends(cell, known) : null;
    const small = cell.querySelector("small");
    const space = cell.firstChild.textContent.match(/\s*$/)[0];
    cell.firstChild.textContent = (now >= 0 ? mark + words.number(now, unit) : "-") + space;
    if (small && found) small.textContent = words.interval(found, unit);
    else if (small) small.remove();
  };
  const axes = [...document.querySelectorAll("td[data-live]")].map((cell) => ({
    cell, ...JSON.parse(cell.dataset.live), lines: [...cell.querySelectorAll("li, small")], head: cell.querySelector("strong"),
  }));
  for (const axis of axes) axis.built = [axis.head, ...axis.lines].map((each) => [each, each.textContent]);
  const readingBeside = (name) => { const cell = named.get(name); return cell && cell.nextElementSibling; };
  const readings = new Map(axes.flatMap((axis) => [...axis.verdicts, ...axis.beside])
    .filter((each) => !each.equal).map((each) => [each, readingBeside(each.cell)]).filter((pair) => pair[1]));
  const asBuilt = new Map([...readings.values()].map((cell) => [cell, cell.innerHTML]));
  const asNow = (verdicts, known) => verdicts.map((each) => {
    const [now, its] = [value(each.cell, known), ends(named.get(each.cell), known)];
    return each.equal ? { ...each, equal: { ...each.equal, value: now, ends: its } } : { ...each, ratio: now, ends: its };
  });
  const reread = (axis, known) => {
    const found = asNow(axis.verdicts, known);
    const before = axis.built.map(([, text]) => text);
    const told = [words.summary(found, axis.leftOut) ?? before[0], ...found.map(words.sentence)];
    axis.built.forEach(([each], index) => { each.textContent = told[index] ?? before[index]; });
    const every = [...axis.verdicts, ...axis.beside];
    asNow(every, known).forEach((each, index) => {
      const cell = readings.get(every[index]);
      if (cell) cell.textContent = words.reading(each);
    });
  };
  // The answers' words on price.
  const answers = [...document.querySelectorAll(".worth[data-live]")].map((part) => (
    { part, built: part.textContent, verdicts: JSON.parse(part.dataset.live).verdicts }));
  const sentences = [...document.querySelectorAll("p[data-follows]")].map((line) => (
    { line, built: line.textContent, ...JSON.parse(line.dataset.follows) }));
  const asSized = (told, known) => ({ ...told, fleets: told.fleets.map((each) => (
    { ...each, value: value(each.cell, known), ends: ends(named.get(each.cell), known) })) });
  const bar = document.getElementById("edited");
  // What is drawn or told with the original assumptions says so: charts over a table that follows, and sections' words.
  const stale = [];
  for (const section of document.querySelectorAll("main > section")) {
    for (const figure of section.querySelectorAll("figure")) {
      if (figure.querySelector("[data-formula]")) stale.push([figure, figure.querySelector(".chart"), "Drawn with the original assumptions."]);
    }
    const text = section.querySelector("h2 + p");
    if (text && section.querySelector("[data-formula]") && !section.querySelector("[data-follows]")) stale.push([section, text, "Assumptions were changed on this page: framed numbers follow, the sentences here are of the original ones."]);
  }
  for (const [index, [holder, before, text]] of stale.entries()) {
    const note = document.createElement("p");
    Object.assign(note, { className: "stale", textContent: text, hidden: true });
    holder.insertBefore(note, before);
    stale[index] = note;
  }
  // A field that holds what no prices file may says so; what follows from it has no number.
  const judge = (cell) => {
    const [field, wrong] = cell.children;
    const { least, above, most } = cell.dataset;
    const now = field.valueAsNumber;
    const right = (above ? now > Number(least) : now >= Number(least)) && !(most && now > Number(most));
    wrong.textContent = right ? "" : `must be ${above ? "above" : "at least"} ${Number(least)}${most ? ` and at most ${Number(most)}` : ""}`;
    wrong.hidden = right;
    field.setCustomValidity(wrong.textContent);
    for (const [name, told] of [["aria-invalid", "true"], ["aria-describedby", wrong.id]]) {
      if (right) field.removeAttribute(name);
      else field.setAttribute(name, told);
    }
  };
  const recompute = () => {
    const known = new Map();
    given.forEach(judge);
    const changed = given.filter((cell) => !(cell.firstChild.valueAsNumber === Number(cell.dataset.value)));
    const any = changed.length > 0;
    for (const cell of cells) renew(cell, known);
    for (const axis of axes) {
      if (any) reread(axis, known);
      else for (const [each, text] of axis.built) each.textContent = text;
    }
    for (const each of sentences) each.line.textContent = any ? words.cheapest(asSized(each, known)) : each.built;
    for (const each of answers) each.part.textContent = any ? `; ${words.worth(asNow(each.verdicts, known))}` : each.built;
    if (!any) for (const [cell, inside] of asBuilt) cell.innerHTML = inside;
    for (const note of stale) note.hidden = !note.parentElement.querySelector("td.changed");
    if (!bar) return;
    bar.hidden = !any;
    const names = changed.map((cell) => cell.dataset.label);
    bar.firstElementChild.textContent = `Changed on this page: ${names.slice(0, 3).join("; ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}. Framed numbers and verdicts on price follow; pictures show the values as built.`;
  };
  for (const cell of given) {
    const field = document.createElement("input");
    const wrong = document.createElement("small");
    Object.assign(field, { type: "number", step: "any", value: Number(cell.dataset.value) });
    Object.assign(wrong, { className: "wrong", id: `wrong-${cell.dataset.id}`, hidden: true });
    field.setAttribute("aria-label", cell.dataset.label);
    field.addEventListener("input", recompute);
    cell.replaceChildren(field, wrong);
  }
  for (const each of document.querySelectorAll(".scripted")) each.hidden = false;
  const back = document.getElementById("as-built");
  if (back) back.addEventListener("click", () => {
    for (const cell of given) cell.firstChild.value = Number(cell.dataset.value);
    recompute();
  });

  // On paper everything is open.
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
