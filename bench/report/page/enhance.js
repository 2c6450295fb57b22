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
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const left = Math.min(box.right + 8, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
  };
  const hide = () => { tip.hidden = true; };
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
  const written = (number, unit) => {
    if (!Number.isFinite(number)) return "-";
    if (unit === "share") return `${(number * 100).toPrecision(3)}%`;
    const digits = Math.abs(number) >= 1000 ? number.toLocaleString("en", { maximumFractionDigits: 0 }) : Number(number.toPrecision(3));
    return `${digits}${unit === "x" ? "x" : unit && unit !== "1" ? ` ${unit}` : ""}`;
  };
  const recompute = () => {
    const known = new Map();
    const value = (name) => {
      if (!known.has(name)) {
        const cell = named.get(name);
        const field = cell && cell.querySelector("input");
        const formula = cell && cell.dataset.formula;
        known.set(name, field ? field.valueAsNumber : formula ? work(formula, value) : Number(cell ? cell.dataset.value : NaN));
      }
      return known.get(name);
    };
    for (const cell of cells) {
      const before = Number(cell.dataset.value);
      const now = work(cell.dataset.formula, value);
      const same = Math.abs(now - before) <= 1e-6 * Math.abs(before);
      cell.classList.toggle("changed", !same);
      if (same) cell.innerHTML = built.get(cell);
      else cell.textContent = cell.dataset.mark + written(now, cell.dataset.unit);
    }
  };
  for (const cell of given) {
    const field = document.createElement("input");
    Object.assign(field, { type: "number", step: "any", value: cell.dataset.value });
    field.setAttribute("aria-label", cell.dataset.label);
    field.addEventListener("input", recompute);
    cell.replaceChildren(field);
  }
  for (const each of document.querySelectorAll(".scripted")) each.hidden = false;
  const back = document.getElementById("as-built");
  if (back) back.addEventListener("click", () => {
    for (const cell of given) cell.firstChild.value = cell.dataset.value;
    recompute();
  });

  // On paper everything is open.
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
