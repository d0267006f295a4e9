// The map. Coordinates, categories and similarities arrive as typed arrays over HTTP; the figure that
// Python sends says how they are drawn. In the plane a layer of our own draws the points, below the
// figure with its query, lines and lasso; in space the figure's own traces are filled with them. A
// selection goes back as its corners: the server finds the points.

const MOST_DRAWN = 200_000;
const MOST_IN_SPACE = { hardware: 50_000, software: 10_000 }; // as many as can be turned smoothly
const REACH = 10; // pixels between the mouse and the point it means
const STILL = 4; // pixels that a click may move
const maps = new WeakMap();
const fetched = new Map(); // by address, which names the content

const bytes = (url) => {
  if (!fetched.has(url)) {
    const answer = fetch(new URL(url, document.baseURI)).then((response) => {
      if (!response.ok) throw new Error("The map's points are gone; load the page again.");
      return response.arrayBuffer();
    });
    answer.catch(() => fetched.delete(url));
    fetched.set(url, answer);
    while (fetched.size > 12) fetched.delete(fetched.keys().next().value);
  }
  return fetched.get(url);
};

// Whether there is no graphics processor; WebGL then takes its time from everything else.
let software = null;
const isSoftware = () => {
  if (software !== null) return software;
  const gl = document.createElement("canvas").getContext("webgl");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  software = /swiftshader|llvmpipe|software|basic render/i.test(info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "");
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return software;
};

class ScatterMap {
  constructor(parent) {
    this.root = element("div", "plot map", parent);
    this.frame = element("div", "frame", this.root);
    this.plot = element("div", "figure", this.frame);
    this.plot.dataset.testid = "map";
    this.pictures = new MapPictures(this.frame, (places) => this.describe(places));
    this.note = element("div", "note", this.root);
    this.note.dataset.testid = "map-note";
    this.tooltip = new Tooltip(this.root);
    this.names = new Map();
    this.number = 0;
  }

  async update(data, send) {
    this.send = send;
    const theme = themeOf(this.root);
    const recipe = JSON.stringify([theme, data]);
    if (recipe === this.recipe) return;
    this.recipe = recipe;
    const number = ++this.number;
    try {
      const [Plotly, coordinates, codes, similarities] = await Promise.all([
        loadPlotly(data.library),
        bytes(data.points),
        data.codes ? bytes(data.codes) : null,
        data.similarities ? bytes(data.similarities) : null,
      ]);
      if (number !== this.number) return; // a newer one is on its way
      if (this.data?.describe !== data.describe) this.names.clear();
      this.same = this.data?.points === data.points;
      Object.assign(this, { data, Plotly, space: data.dims === 3 });
      this.similarities = similarities && new Int16Array(similarities);
      this.take(this.same ? this.points.coordinates : new Uint16Array(coordinates), codes);
      adoptStyles(this.root);
      await this.draw(theme);
    } catch (error) {
      this.recipe = null;
      this.note.textContent = error.message;
    }
  }

  take(coordinates, codes) {
    const { data, similarities } = this;
    const cells = this.same ? this.points.cells : undefined;
    this.points = new Points(data, coordinates, codes && new Uint8Array(codes));
    this.points.cells = cells;
    const bits = data.selected && Uint8Array.from(atob(data.selected), (c) => c.charCodeAt(0));
    const every = bits ? Array(data.count).keys() : [];
    this.picked = Uint32Array.from([...every].filter((point) => bits[point >> 3] & (1 << (point & 7))));
    this.traces = new MapTraces(JSON.parse(data.figure), this.points, similarities, this.picked, data.ring);
  }

  async draw(theme) {
    const { data, Plotly, plot, space } = this;
    const uirevision = `${data.points} ${data.dims}`;
    const layout = themed({ uirevision, selectionrevision: this.number, ...this.traces.figure.layout }, theme);
    delete layout.template;
    this.frame.style.height = plot.style.height = `${layout.height}px`;
    Object.assign(layout, { autosize: true, hovermode: space ? "closest" : false });
    if (this.mode && !space) layout.dragmode = this.mode;
    if (!space) {
      // The view stays where the person has put it, unless these are other points.
      const [x, y] = (this.same && this.view()) || this.points.whole();
      Object.assign(layout.xaxis, { range: x, autorange: false });
      Object.assign(layout.yaxis, { range: y, autorange: false });
      this.layer ??= new PointsLayer(this.frame);
      this.layer.restored = () => this.rest();
      this.layer.set(this.points, this.picked);
    }
    this.pictures.shown = data.pictures && !space;
    const traces = space ? this.traces.filled(this.first()) : this.traces.inLegend();
    const config = configOf(Plotly, plot, data.name, { select: !space, data: () => (space ? plot.data : this.traces.filled(this.order)) });
    if (space) config.modeBarButtons = [config.modeBarButtons[0], ["orbitRotation", "pan3d", "resetCameraDefault3d"]];
    await Plotly.react(plot, traces, layout, config);
    if (!this.listening) this.listen();
    this.layer?.canvas.toggleAttribute("hidden", space);
    this.rest();
    plot.dataset.drawn = data.name;
    plot.dataset.at = String(Math.round(performance.now()));
  }

  // ---- the points in the plane
  view() {
    const { xaxis, yaxis } = this.plot._fullLayout ?? {};
    return xaxis?.range && yaxis?.range ? [[...xaxis.range], [...yaxis.range]] : null;
  }

  box() {
    const { xaxis, yaxis } = this.plot._fullLayout;
    return { left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length };
  }

  // In space, a sample once and for all.
  first() {
    const most = MOST_IN_SPACE[isSoftware() ? "software" : "hardware"];
    return Uint32Array.from(Array(Math.min(this.data.count, most)).keys());
  }

  // The map at rest: all that is in view, as far as it can be drawn.
  rest() {
    const { data, space, layer } = this;
    if (space) return this.say(this.first().length, data.count, data.count);
    const view = this.view();
    const { points, total, drawn } = this.points.inView(view, MOST_DRAWN);
    this.order = points;
    layer.choose(points);
    layer.paint(this.traces.palette(this.plot._fullData));
    this.redraw(false);
    this.say(drawn, total, data.count);
    if (!this.pictures.shown) return this.pictures.clear();
    this.pictures.choose(this.points, points, view, this.box());
  }

  redraw(moves) {
    const [view, box] = [this.view(), this.box()];
    this.layer.draw(view, box, this.traces.size, { moves });
    this.pictures.move(this.points, view, box);
  }

  say(drawn, total, count) {
    const shown = (n) => n.toLocaleString("en");
    const sampled = `Drawn: ${shown(drawn)} of the ${shown(total)} images in view, a random sample`;
    const all = `${shown(total)} images${total < count ? ` of ${shown(count)} in view` : ""}.`;
    this.note.textContent = drawn < total ? sampled + (this.space ? "." : "; zoom in to see all.") : all;
  }

  // ---- what people do
  listen() {
    this.listening = true;
    const { Plotly, plot } = this;
    keepWidth(Plotly, plot);
    this.pointer = followPointer(plot);
    plot.on("plotly_hover", ({ points: [point] }) => this.hover(this.inSpace(point)));
    plot.on("plotly_unhover", () => this.hover(-1));
    plot.on("plotly_click", ({ points: [point] }) => this.click(this.inSpace(point)));
    plot.addEventListener("pointermove", (event) => this.space || this.hover(event.buttons ? -1 : this.under(event)));
    plot.addEventListener("pointerleave", () => this.hover(-1));
    plot.addEventListener("pointerdown", (event) => this.press(event), true);
    window.addEventListener("pointerup", (event) => this.released(event), true);
    plot.on("plotly_selected", (event) => this.selected(event));
    plot.on("plotly_relayouting", () => this.space || this.redraw(true));
    plot.on("plotly_afterplot", () => this.space || this.later());
    plot.on("plotly_relayout", (change) => {
      if (change.dragmode && !this.space) this.mode = change.dragmode;
    });
    plot.on("plotly_doubleclick", () => {
      if (this.space) return;
      const [x, y] = this.points.whole();
      Plotly.relayout(plot, { "xaxis.range": x, "yaxis.range": y });
    });
  }

  // When the map has come to rest, or the legend has changed.
  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.rest(), 80);
    this.redraw(true);
  }

  inSpace(point) {
    return this.space ? (this.traces.members.get(point.curveNumber)?.[point.pointNumber] ?? -1) : -1;
  }

  // The point under the mouse, in the plane.
  under(event) {
    const onMap = event.composedPath().some((node) => node.classList?.contains("nsewdrag"));
    const view = this.view();
    if (!onMap || !view || !this.order) return -1;
    const { left, top, width, height } = this.box();
    const frame = this.plot.getBoundingClientRect();
    const shares = [(event.clientX - frame.left - left) / width, 1 - (event.clientY - frame.top - top) / height];
    const place = view.map(([from, to], axis) => from + shares[axis] * (to - from));
    const reach = view.map(([from, to], axis) => (Math.abs(to - from) * REACH) / (axis ? height : width));
    const last = this.order.at(-1) ?? -1;
    return this.points.nearest(place, reach, (point) => point <= last && this.traces.isShown(point));
  }

  press(event) {
    const { clientX: x, clientY: y } = event;
    this.pressed = this.space || event.button ? null : { x, y, point: this.under(event) };
  }

  released({ clientX, clientY }) {
    const { x, y, point } = this.pressed ?? { point: -1 };
    this.pressed = null;
    if (Math.hypot(clientX - x, clientY - y) <= STILL) this.click(point);
  }

  click(point) {
    if (point >= 0) this.send("click", { point, points: this.data.points });
  }

  selected(event) {
    const { x, y } = event?.range ?? {};
    const corners = event?.lassoPoints ?? (x && { x: [x[0], x[1], x[1], x[0]], y: [y[0], y[0], y[1], y[1]] });
    if (!corners) return;
    const every = Math.max(1, Math.ceil(corners.x.length / 2000));
    const pairs = corners.x.map((each, i) => [each, corners.y[i]]).filter((_, i) => i % every === 0);
    if (pairs.length > 2) this.send("select", { corners: pairs, points: this.data.points });
  }

  async hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.plot.classList.toggle("over", point >= 0 && !this.space);
    if (point < 0) return this.tooltip.hide();
    const [named] = await this.describe([point]);
    if (this.hovered !== point || !named) return;
    this.tooltip.show(this.pointer, [named], named.number);
  }

  // What is known of points: {id, label, text, thumbnail, number}.
  async describe(places) {
    const missing = places.filter((place) => !this.names.has(place));
    if (missing.length) {
      try {
        const url = new URL(`${this.data.describe}&points=${missing.join(",")}`, document.baseURI);
        const found = await (await fetch(url)).json();
        missing.forEach((place, i) => this.names.set(place, found[i]));
      } catch {
        return [];
      }
    }
    return places.map((place) => this.names.get(place));
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!maps.has(parentElement)) maps.set(parentElement, new ScatterMap(parentElement));
  maps.get(parentElement).update(data, setTriggerValue);
}
