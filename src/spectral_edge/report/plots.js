(async () => {
  const packed = document.getElementById("plotly").textContent;
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
  // Buttons are named one by one: the default set includes some that lead out of an offline page.
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "resetScale2d"]] };
  for (const holder of document.querySelectorAll(".plot")) {
    const figure = JSON.parse(holder.nextElementSibling.textContent);
    holder.replaceChildren();
    Plotly.newPlot(holder, figure.data, figure.layout, config);
  }
  // A sheet of paper is narrower than the window that a plot was drawn for.
  const resize = (size) => document.querySelectorAll(".plot").forEach((holder) => Plotly.relayout(holder, size));
  addEventListener("beforeprint", () => resize({ autosize: false, width: 640 }));
  addEventListener("afterprint", () => resize({ autosize: true, width: null }));
})();
