// How the traces of the figure that say which points belong in them show those points: by a layer of
// our own, which needs a colour for each code, or, in space and in downloads, filled with them.

const OTHER = 255; // the code of a point without a category that has a colour
const LEVELS = 254; // steps of a similarity's colour
const UNIT = 32_767; // by which similarities were multiplied
const MOST_IN_SVG = 20_000; // points that a download draws as shapes, above that as a picture

class MapTraces {
  constructor(figure, points, similarities, picked, ring) {
    Object.assign(this, { figure, points, similarities, picked, ring });
    this.members = new Map(); // the points of each filled trace
    this.size = 6;
    const scaled = figure.data.find((trace) => trace.meta?.similarity);
    if (similarities && scaled) this.takeLevels(scaled.marker);
  }

  // A code for each similarity, by its place on the scale.
  takeLevels({ cmin, cmax }) {
    const step = (LEVELS - 1) / (cmax - cmin);
    const level = (s) => Math.min(Math.max(Math.round((s / UNIT - cmin) * step), 0), LEVELS - 1);
    this.points.codes = Uint8Array.from(this.similarities, level);
  }

  codeOf(point) {
    return this.points.codes ? this.points.codes[point] : OTHER;
  }

  // What plotly draws when the layer draws the points: their traces stand in the legend, empty.
  inLegend() {
    return this.figure.data.map((trace) => {
      if (trace.meta?.code === undefined) return trace;
      const bar = trace.meta.similarity && { color: [trace.marker.cmin], showscale: true };
      return { ...trace, type: "scatter", x: [null], y: [null], hoverinfo: "skip", marker: { ...trace.marker, ...bar } };
    });
  }

  // 256 colours: those of the categories that the legend has not switched off, or of a scale.
  palette(traces) {
    this.colours = new Uint8ClampedArray(256 * 4);
    for (const { meta, marker, visible } of traces) {
      if (meta?.code === undefined) continue;
      this.size = marker.size;
      const alpha = visible === true ? 255 * marker.opacity : 0;
      const colours = meta.similarity ? scaleColours(marker.colorscale, LEVELS) : [colourOf(marker.color)];
      const first = meta.similarity ? 0 : (meta.code ?? OTHER);
      colours.forEach((colour, place) => this.colours.set([...colour, alpha], 4 * (first + place)));
    }
    this.colours.set([...colourOf(this.ring), 255], 4 * RING);
    return new Uint8Array(this.colours.buffer);
  }

  isShown(point) {
    return this.colours[4 * this.codeOf(point) + 3] > 0;
  }

  // The figure's traces with points in them, in the order given.
  filled(order) {
    const { figure, picked, ring } = this;
    this.members.clear();
    const space = this.points.dims === 3;
    const type = space ? "scatter3d" : order.length > MOST_IN_SVG ? "scattergl" : "scatter";
    const traces = figure.data.map((trace, place) => {
      const code = trace.meta?.code;
      if (code === undefined) return trace;
      const own = code === null ? order : order.filter((point) => this.codeOf(point) === code);
      return this.put({ ...trace, type }, own, place);
    });
    if (!picked.length || !space) return traces;
    const marker = { symbol: "circle-open", size: 6, color: ring, line: { width: 1.5 } };
    const rings = { type, mode: "markers", name: "selected", marker };
    return [...traces, this.put(rings, picked, traces.length)];
  }

  put(trace, members, place) {
    this.members.set(place, members);
    const made = { ...trace, hoverinfo: "none" };
    ["x", "y", "z"].slice(0, this.points.dims).forEach((name, axis) => {
      made[name] = Float32Array.from(members, (point) => this.points.at(point, axis));
    });
    if (this.picked.length && this.points.dims === 2) {
      const among = new Set(this.picked);
      made.selectedpoints = [...members.keys()].filter((place) => among.has(members[place]));
      made.unselected = { marker: { opacity: FADED * trace.marker.opacity } };
    }
    if (trace.meta?.similarity && this.similarities) {
      const color = Float32Array.from(members, (point) => this.similarities[point] / UNIT);
      made.marker = { ...trace.marker, color, showscale: true };
    }
    return made;
  }
}

// Red, green and blue, 0 … 255, of a colour as a style sheet names it.
const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const colourOf = (text) => {
  pen.fillStyle = text;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
};

// So many colours of a scale, [[0, colour], …, [1, colour]].
const scaleColours = (scale, count) => {
  const stops = scale.map(([at, text]) => [at, colourOf(text)]);
  return Array.from({ length: count }, (_, place) => {
    const share = place / (count - 1);
    const next = Math.max(stops.findIndex(([at]) => at >= share), 1);
    const [[from, first], [to, second]] = [stops[next - 1], stops[next]];
    return first.map((part, i) => part + ((second[i] - part) * (share - from)) / (to - from));
  });
};
