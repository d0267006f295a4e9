// A plotly figure with pictures in its tooltip. Streamlit calls the default function again whenever
// the data or the theme changes; the figure is drawn anew only then, and keeps its zoom.

const plots = new WeakMap();

const valuesOf = (custom) =>
  custom === undefined || custom === null ? [] : typeof custom === "object" ? [...custom] : [custom];

// The pictures that a point stands for, as places in the list that Python sent.
const picturesAt = (point) => {
  const meta = point.data.meta;
  if (meta?.rows && meta?.columns) {
    const [row, column] = point.pointIndex ?? point.pointNumber;
    return [meta.rows[row], meta.columns[column]];
  }
  return point.data.customdata === undefined ? [] : valuesOf(point.customdata);
};

const numberAt = (point) => {
  const meta = point.data.meta ?? {};
  if (point.z !== undefined && meta.rows) {
    const value = point.z * (meta.scale ?? 1) + (meta.offset ?? 0);
    return Number.isFinite(value) ? value.toFixed(meta.digits ?? 3).replace("-", "−") : "";
  }
  return point.text ?? "";
};

class Plot {
  constructor(parent) {
    this.root = element("div", "plot", parent);
    this.plot = element("div", "figure", this.root);
    this.plot.dataset.testid = "plot";
    this.tooltip = new Tooltip(this.root);
    this.pointer = followPointer(this.plot);
    this.shown = null;
  }

  // One drawing at a time, the newest figure last: those that came meanwhile are passed over.
  async update(data, send) {
    this.send = send;
    this.next = data;
    if (this.drawing) return;
    this.drawing = true;
    try {
      while (this.next) {
        const newest = this.next;
        this.next = null;
        await this.draw(newest);
      }
    } finally {
      this.drawing = false;
    }
  }

  async draw(data) {
    this.pictures = data.pictures;
    const theme = themeOf(this.root);
    const recipe = JSON.stringify([theme, data.name, data.token]);
    if (recipe === this.shown) return;
    this.shown = recipe;
    let Plotly;
    try {
      Plotly = await loadPlotly(data.library);
    } catch (error) {
      this.shown = null;
      this.plot.textContent = error.message;
      return;
    }
    adoptStyles(this.root);
    const figure = JSON.parse(data.figure);
    figure.data = recoloured(figure.data, FOREGROUND, theme.text);
    for (const trace of figure.data) {
      if (trace.customdata === undefined && !trace.meta?.rows) continue;
      trace.hoverinfo = "none"; // the tooltip says it
      delete trace.hovertemplate;
    }
    const layout = themed({ uirevision: data.name, ...figure.layout }, theme);
    this.plot.style.height = `${layout.height ?? 450}px`;
    delete layout.template;
    await Plotly.react(this.plot, figure.data, { ...layout, autosize: true }, configOf(Plotly, this.plot, data.name));
    this.plot.dataset.drawn = data.token;
    if (!this.listening) this.listen(Plotly);
  }

  listen(Plotly) {
    this.listening = true;
    keepWidth(Plotly, this.plot);
    this.plot.on("plotly_hover", ({ points: [point] }) => {
      const places = picturesAt(point);
      const pictures = places.map((place) => this.pictures[place]).filter(Boolean);
      if (pictures.length) this.tooltip.show(this.pointer, pictures, numberAt(point));
    });
    this.plot.on("plotly_unhover", () => this.tooltip.hide());
    this.plot.addEventListener("pointerleave", () => this.tooltip.hide());
    this.plot.on("plotly_click", ({ points: [point] }) => {
      const pictures = picturesAt(point);
      if (pictures.length) this.send("click", { pictures });
    });
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!plots.has(parentElement)) plots.set(parentElement, new Plot(parentElement));
  plots.get(parentElement).update(data, setTriggerValue);
}
