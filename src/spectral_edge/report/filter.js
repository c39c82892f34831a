(() => {
  const box = document.getElementById("filter");
  const count = document.getElementById("filter-count");
  const rows = Array.from(document.querySelectorAll("#row-table tbody tr"));
  // Cells are joined with spaces so that a word never matches across two of them.
  const texts = rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase());
  const apply = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      const match = words.every((word) => texts[index].includes(word));
      row.hidden = !match;
      shown += match ? 1 : 0;
    });
    count.textContent = `${shown} of ${rows.length} lines`;
  };
  box.addEventListener("input", apply);
  apply();
})();
