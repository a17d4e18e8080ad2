"use strict";
// Draws each chart when it comes into view, from data that the page holds in few bytes; see emberharmony/page/chart.py.
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const search = document.getElementById("search");
  const plots = [...document.querySelectorAll(".plot")];
  const views = new Map();
  const MOST_ROWS = 500;
  let wanted = ""; // what was searched for last

  // Okabe and Ito's colours, which people with any colour vision tell apart.
  const theme = (isDark) => {
    const ink = isDark ? "#e8ebee" : "#1b1f24", soft = isDark ? "#9aa5b1" : "#59636e", line = isDark ? "#343b44" : "#d8dee4";
    const blue = isDark ? "#56b4e9" : "#0072b2";
    const font = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
    const text = { labelFont: font, titleFont: font, labelColor: soft, titleColor: soft, labelFontSize: 11, titleFontSize: 11 };
    return {
      background: "transparent",
      font,
      view: { stroke: null },
      axis: { ...text, titleFontWeight: 400, grid: true, gridColor: line, domain: false, tickColor: line, labelLimit: 180 },
      axisBand: { grid: false },
      axisY: { ticks: false },
      legend: { ...text, titleFontWeight: 400, orient: "top", symbolSize: 80, symbolOpacity: 1, gradientOpacity: 1, labelLimit: 320 },
      bar: { color: blue },
      area: { color: blue },
      line: { color: blue },
      point: { filled: true },
      rule: { color: ink },
      rect: { stroke: null },
      range: {
        category: [blue, "#e69f00", "#009e73", "#d55e00", "#cc79a7", isDark ? "#0072b2" : "#56b4e9", "#f0e442", soft],
        diverging: isDark ? ["#56b4e9", "#242b33", "#e69f00"] : ["#0072b2", "#f7f7f7", "#d55e00"],
      },
    };
  };

  const columnsOf = (data) => {
    const columns = data.columns.map((column) => (column.codes ? column.codes.map((code) => column.names[code]) : column));
    const n = columns.length ? columns[0].length : 0;
    return Array.from({ length: n }, (_, i) => Object.fromEntries(data.fields.map((field, j) => [field, columns[j][i]])));
  };
  const placesOf = ([field, places]) => {
    if (Array.isArray(places)) return places.map((place) => ({ [field]: place }));
    const step = (places.high - places.low) / places.n;
    return Array.from({ length: places.n }, (_, i) => ({
      [field]: places.low + i * step,
      [`${field}_end`]: places.low + (i + 1) * step,
    }));
  };
  const gridOf = (data) => {
    let cells = [{}];
    for (const axis of data.axes) {
      const places = placesOf(axis);
      cells = cells.flatMap((cell) => places.map((place) => ({ ...cell, ...place })));
    }
    cells.forEach((cell, i) => { cell[data.field] = data.values[i] * data.step; });
    return cells;
  };
  const rowsOf = (data) => (data.axes ? gridOf(data) : columnsOf(data));

  // Without waiting for anything but promises that are kept already, so that a page to be printed is drawn in time.
  const draw = async (plot, isDark = dark.matches) => {
    if (!plot.clientWidth) { // hidden by the search: drawn when it is seen again, since a chart needs a width
      plot.dataset.drawn = "";
      seen.observe(plot);
      return;
    }
    const { spec, data } = chartOf(plot);
    const controls = plot.previousElementSibling;
    plot.dataset.drawn = isDark ? "dark" : "light";
    views.get(plot)?.finalize();
    controls.replaceChildren();
    const whole = { width: plot.clientWidth, ...page.specs[spec], data: { values: rowsOf(page.data[data]) } };
    const { view } = await vegaEmbed(plot, whole, {
      actions: false,
      ast: true, // expressions are interpreted, so the page needs no right to evaluate code
      bind: controls,
      config: theme(isDark),
      logLevel: 1,
      // Vega-Lite would warn of charts whose height depends on their rows.
      patch: (compiled) => ({ ...compiled, autosize: { type: "fit-x", contains: "padding" } }),
      renderer: "svg",
      tooltip: { theme: isDark ? "dark" : "light" },
    });
    views.set(plot, view);
    plot.style.minHeight = "";
    look(plot, view);
  };
  const chartOf = (plot) => page.charts[Number(plot.dataset.chart)];
  const hasSearch = (plot) => page.specs[chartOf(plot).spec].params?.some((param) => param.name === "search");
  const featuresOf = (data) => {
    const names = data.axes ? data.axes.find(([field]) => field === "feature")[1] : columnsOf(data).map((row) => row.feature);
    return [...new Set(names)].map((name) => name.toLowerCase());
  };
  const look = (plot, view) => {
    const isSeen = plot.clientWidth > 0; // without a row, a chart would have an infinite height
    if (isSeen && hasSearch(plot) && view.signal("search") !== wanted) view.signal("search", wanted).run();
  };
  const drawn = () => plots.filter((plot) => views.has(plot));

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        if (!target.dataset.drawn) draw(target);
      }
    },
    { rootMargin: "300px" },
  );
  plots.forEach((plot) => seen.observe(plot));

  const sized = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const view = views.get(target);
      if (view && contentRect.width && Math.abs(view.width() - contentRect.width) > 1) view.width(contentRect.width).run();
    }
  });
  plots.forEach((plot) => sized.observe(plot));

  dark.addEventListener("change", () => drawn().forEach((plot) => draw(plot)));
  addEventListener("beforeprint", () => {
    for (const plot of plots) if (plot.dataset.drawn !== "light") draw(plot, false);
  });
  addEventListener("afterprint", () => { if (dark.matches) drawn().forEach((plot) => draw(plot)); });

  const number = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en") : String(value ?? ""));
  const fill = (details) => {
    if (details.querySelector("table")) return;
    const rows = rowsOf(page.data[chartOf(details).data]);
    const fields = rows.length ? Object.keys(rows[0]) : [];
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const field of fields) {
      const cell = document.createElement("th");
      cell.textContent = field.replaceAll("_", " ");
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows.slice(0, MOST_ROWS)) {
      const line = body.insertRow();
      for (const field of fields) line.insertCell().textContent = number(row[field]);
    }
    const box = document.createElement("div");
    box.className = "scroll";
    box.tabIndex = 0;
    box.append(table);
    details.append(box);
    if (rows.length > MOST_ROWS) details.append(`The first ${MOST_ROWS} of ${rows.length.toLocaleString("en")} rows.`);
  };
  for (const details of document.querySelectorAll("details[data-chart]")) {
    details.addEventListener("toggle", () => details.open && fill(details));
  }

  const named = [...document.querySelectorAll("[data-name]")];
  const found = document.getElementById("found");
  let searched; // charts of many features, and the features of each
  const find = () => {
    wanted = search.value.trim().toLowerCase();
    searched ??= plots.filter(hasSearch).map((plot) => [plot.closest("figure"), featuresOf(page.data[chartOf(plot).data])]);
    let n = 0;
    for (const [figure, names] of searched) figure.hidden = !names.some((name) => name.includes(wanted));
    for (const item of named) {
      item.hidden = !item.dataset.name.includes(wanted);
      n += !item.hidden;
    }
    found.textContent = wanted ? `${n} found` : "";
    for (const [plot, view] of views) look(plot, view);
  };
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, 120);
  });
  if (search.value) find(); // kept by the browser while the page was loaded again
})();
