"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const key = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.value === undefined ? [cell.textContent.trim(), 0] : [cell.dataset.unit || "", Number(cell.dataset.value)];
  };
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => {
        if (!a.cells[at].textContent.trim()) return b.cells[at].textContent.trim() ? 1 : 0;
        if (!b.cells[at].textContent.trim()) return -1;
        const [x, m] = key(a, at), [y, n] = key(b, at);
        return (down ? -1 : 1) * (x < y ? -1 : x > y ? 1 : m - n);
      });
      body.append(...rows);
    });
  });
  const tools = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("span");
  tools.className = "tools";
  input.type = "search";
  count.setAttribute("role", "status");
  label.append("Rows with: ", input);
  tools.append(label, count);
  input.addEventListener("input", () => {
    const words = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(words);
    count.textContent = words ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
  table.parentElement.before(tools);
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
