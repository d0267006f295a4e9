// What every plotly figure of AINA shares: the library, the theme, the tooltip, the downloads.
// This file is put before the component's own.

const PLOTLY = "aina-plotly";

// The library is loaded once a page, from AINA's own server.
const loadPlotly = (url) => {
  window[PLOTLY] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(url, document.baseURI).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      window[PLOTLY] = undefined;
      reject(new Error("The drawing library could not be loaded; load the page again."));
    };
    document.head.append(script);
  });
  return window[PLOTLY];
};

// Plotly puts its style sheet into the document, where a shadow root does not see it.
const styled = new WeakSet();
const adoptStyles = (node) => {
  const root = node.getRootNode();
  const global = document.querySelector("style[id^='plotly.js-style']");
  if (!root.adoptedStyleSheets || root === document || styled.has(root) || !global) return;
  styled.add(root);
  const sheet = new CSSStyleSheet();
  for (const rule of global.sheet.cssRules) sheet.insertRule(rule.cssText, sheet.cssRules.length);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
};

const element = (tag, className, parent) => {
  const made = document.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
};

// ---- theme
const LIGHT = { text: "#1B1F24", background: "#FFFFFF", lines: "#D9DDE2" };

const themeOf = (node) => {
  const style = getComputedStyle(node);
  const read = (name, other) => style.getPropertyValue(name).trim() || other;
  const text = read("--st-text-color", LIGHT.text);
  return {
    text,
    background: read("--st-background-color", LIGHT.background),
    lines: read("--st-border-color", LIGHT.lines),
    font: read("--st-font", "sans-serif"),
  };
};

// The layout in the colours of a theme; what the figure says for itself stays.
const themed = (layout, theme, background = "rgba(0,0,0,0)") => {
  const made = {
    paper_bgcolor: background,
    plot_bgcolor: background,
    margin: { l: 48, r: 16, t: 32, b: 40 },
    ...layout,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.lines, activecolor: theme.text },
    font: { family: theme.font, size: 12, ...layout.font, color: theme.text },
  };
  const axis = (given) => ({
    gridcolor: theme.lines,
    zerolinecolor: theme.lines,
    linecolor: theme.lines,
    ...given,
  });
  for (const name of ["xaxis", "yaxis"]) made[name] ??= {};
  for (const name of Object.keys(made)) {
    if (/^[xy]axis\d*$/.test(name)) made[name] = axis(made[name]);
    if (/^scene\d*$/.test(name)) {
      const scene = { ...made[name] };
      // space is drawn without transparency, in which the theme's lines would be too bright
      for (const side of ["xaxis", "yaxis", "zaxis"]) scene[side] = { ...axis(scene[side]), gridcolor: "#808890" };
      made[name] = scene;
    }
  }
  return made;
};

// Black among the colours of categories means: the colour of the text.
const FOREGROUND = "#000000";
const recoloured = (traces, from, to) =>
  traces.map((trace) =>
    trace.marker?.color === from ? { ...trace, marker: { ...trace.marker, color: to } } : trace,
  );

// ---- downloads: on white, for papers and slides, whatever the theme of the screen
const downloads = (Plotly, plot, name, data) =>
  ["png", "svg"].map((format) => ({
    name: `Download as ${format.toUpperCase()}`,
    icon: format === "png" ? Plotly.Icons.camera : Plotly.Icons.disk,
    click: async () => {
      const { width, height } = plot.getBoundingClientRect();
      const layout = themed(plot.layout, { ...LIGHT, font: "sans-serif" }, LIGHT.background);
      layout.paper_bgcolor = layout.plot_bgcolor = LIGHT.background;
      const traces = recoloured(data(), themeOf(plot).text, FOREGROUND);
      const spec = { data: traces, layout: { ...layout, autosize: false, width, height } };
      const url = await Plotly.toImage(spec, { format, width, height, scale: format === "png" ? 2 : 1 });
      const link = Object.assign(document.createElement("a"), { href: url, download: `${name}.${format}` });
      link.click();
    },
  }));

const configOf = (Plotly, plot, name, { select = false, data = () => plot.data } = {}) => ({
  responsive: false,
  displaylogo: false,
  scrollZoom: select,
  doubleClick: "reset+autosize",
  modeBarButtons: [
    downloads(Plotly, plot, name, data),
    select ? ["pan2d", "zoom2d", "lasso2d", "select2d"] : ["zoom2d", "pan2d"],
    ["zoomIn2d", "zoomOut2d", "resetScale2d"],
  ],
});

// ---- the tooltip: pictures, names and a number; every text is text
class Tooltip {
  constructor(parent) {
    this.box = element("div", "tooltip", parent);
    this.box.setAttribute("role", "tooltip");
    this.box.dataset.testid = "plot-tooltip";
    this.box.hidden = true;
  }

  show({ clientX, clientY }, pictures, text) {
    const cells = pictures.map((picture) => {
      const cell = document.createElement("figure");
      if (picture.thumbnail) {
        const image = element("img", "", cell);
        image.alt = "";
        image.src = picture.thumbnail;
      }
      for (const part of ["label", "text", "id"]) {
        if (picture[part]) element("div", part, cell).textContent = picture[part];
      }
      return cell;
    });
    const line = document.createElement("div");
    line.className = "number";
    line.textContent = text ?? "";
    this.box.replaceChildren(...cells, ...(text ? [line] : []));
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    const left = clientX + 16 + width > innerWidth ? clientX - 16 - width : clientX + 16;
    const top = Math.min(Math.max(clientY - height / 2, 4), innerHeight - height - 4);
    this.box.style.left = `${Math.max(left, 4)}px`;
    this.box.style.top = `${top}px`;
  }

  hide() {
    this.box.hidden = true;
  }
}

// Where the pointer is, also for traces whose events do not say it.
const followPointer = (node) => {
  const at = { clientX: 0, clientY: 0 };
  node.addEventListener("pointermove", (event) => Object.assign(at, { clientX: event.clientX, clientY: event.clientY }), true);
  return at;
};

const keepWidth = (Plotly, plot) => {
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (!now || now === width) return;
    width = now;
    if (plot.data) Plotly.Plots.resize(plot);
  }).observe(plot);
};
