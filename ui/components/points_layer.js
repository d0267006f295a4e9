// The points of a flat map, drawn by WebGL straight from the numbers that were sent: a few bytes a
// point, nothing computed anew when the map moves. It lies below the plotly figure, whose axes say
// what is in view.

const VERTEX = `#version 300 es
in vec2 place;
in float code;
uniform vec2 scale, offset;
uniform float size, back;
uniform sampler2D palette;
out vec4 colour;
void main() {
  colour = texelFetch(palette, ivec2(int(code), 0), 0);
  bool drawn = colour.a > 0.0 && (back < 0.0 || (back > 0.0) == (code == 255.0));
  gl_Position = drawn ? vec4(place * scale + offset, 0.0, 1.0) : vec4(2.0, 2.0, 0.0, 1.0);
  gl_PointSize = size;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size, hole, strength;
out vec4 pixel;
void main() {
  float radius = length(gl_PointCoord - 0.5) * size;
  float cover = clamp(size * 0.5 - radius, 0.0, 1.0) * clamp(radius - hole + 0.5, 0.0, 1.0);
  pixel = vec4(colour.rgb * colour.a, colour.a) * cover * strength;
}`;
const RING = 254; // the code whose colour is that of rings
const FADED = 0.3; // of the points that are not picked out, when some are
const MOST_RINGS = 300; // more of them would hide what they stand around
const AT_ONCE = 12; // milliseconds that a frame may take while the map moves
const FEWEST = 5_000;

class PointsLayer {
  constructor(parent) {
    this.canvas = document.createElement("canvas");
    this.canvas.className = "layer";
    parent.prepend(this.canvas);
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.build();
      if (this.points) this.set(this.points, this.picked);
      this.restored?.();
    });
    this.build();
  }

  build() {
    const gl = this.canvas.getContext("webgl2", { antialias: false });
    if (!gl) throw new Error("This browser draws no WebGL 2, which the map needs; use a newer one.");
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place");
    gl.bindAttribLocation(program, 1, "code");
    gl.linkProgram(program);
    gl.useProgram(program);
    const names = ["scale", "offset", "size", "back", "hole", "strength"];
    this.uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enableVertexAttribArray(0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    }
    const made = ["places", "codes", "order", "picked", "pickedCodes"].map((name) => [name, gl.createBuffer()]);
    this.buffers = Object.fromEntries(made);
    this.moving = Infinity; // points that can be drawn in time while the map moves
  }

  fill(target, buffer, values) {
    this.gl.bindBuffer(target, buffer);
    this.gl.bufferData(target, values, this.gl.STATIC_DRAW);
  }

  // The points, and those of them that are picked out, in Uint32.
  set(points, picked) {
    const { gl, buffers } = this;
    if (points.coordinates !== this.points?.coordinates) this.fill(gl.ARRAY_BUFFER, buffers.places, points.coordinates);
    if (points.codes) this.fill(gl.ARRAY_BUFFER, buffers.codes, points.codes);
    const places = new Uint16Array(2 * picked.length);
    picked.forEach((point, place) => places.set(points.coordinates.subarray(2 * point, 2 * point + 2), 2 * place));
    this.fill(gl.ARRAY_BUFFER, buffers.picked, places);
    if (points.codes) this.fill(gl.ARRAY_BUFFER, buffers.pickedCodes, Uint8Array.from(picked, (point) => points.codes[point]));
    this.points = points;
    this.picked = picked;
  }

  // Colours by code: 256 × red, green, blue, alpha in 0 … 255.
  paint(palette) {
    const { gl } = this;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
  }

  // Which points are drawn, in what order.
  choose(order) {
    this.order = order;
    this.fill(this.gl.ELEMENT_ARRAY_BUFFER, this.buffers.order, order);
  }

  // Draw what is in `view`, the ranges of both axes, into `box`, in pixels of the frame.
  draw(view, box, size, { moves = false } = {}) {
    const { gl, uniforms, points } = this;
    const count = Math.min(this.order.length, moves ? this.moving : Infinity);
    this.place(box);
    const ends = view.map(([from, to], axis) => [(2 * points.span[axis]) / (to - from), (2 * (points.low[axis] - from)) / (to - from) - 1]);
    gl.uniform2f(uniforms.scale, ends[0][0], ends[1][0]);
    gl.uniform2f(uniforms.offset, ends[0][1], ends[1][1]);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const started = performance.now();
    const dense = Math.min(devicePixelRatio || 1, 2);
    gl.uniform1f(uniforms.size, size * dense);
    gl.uniform1f(uniforms.hole, 0);
    gl.uniform1f(uniforms.strength, this.picked.length ? FADED : 1);
    this.bind(this.buffers.places, points.codes ? this.buffers.codes : null);
    for (const back of points.codes ? [1, 0] : [-1]) {
      gl.uniform1f(uniforms.back, back);
      gl.drawElements(gl.POINTS, count, gl.UNSIGNED_INT, 0);
    }
    if (!moves && count) this.time(started, count);
    if (this.picked.length) this.drawPicked(size, dense);
  }

  drawPicked(size, dense) {
    const { gl, uniforms, buffers, picked, points } = this;
    gl.uniform1f(uniforms.strength, 1);
    gl.uniform1f(uniforms.back, -1);
    this.bind(buffers.picked, points.codes ? buffers.pickedCodes : null);
    gl.drawArrays(gl.POINTS, 0, picked.length);
    if (picked.length > MOST_RINGS) return;
    gl.uniform1f(uniforms.size, (size + 6) * dense);
    gl.uniform1f(uniforms.hole, (size / 2 + 1.5) * dense);
    this.bind(buffers.picked, null, RING);
    gl.drawArrays(gl.POINTS, 0, picked.length);
  }

  bind(places, codes, one = 255) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, places);
    gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    if (!codes) {
      gl.disableVertexAttribArray(1);
      gl.vertexAttrib1f(1, one);
      return;
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, codes);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 1, gl.UNSIGNED_BYTE, false, 0, 0);
  }

  // Without a graphics processor many points take long: fewer are drawn while the map moves.
  time(started, count) {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
    const took = performance.now() - started;
    this.moving = took > AT_ONCE ? Math.max(FEWEST, Math.floor((count * AT_ONCE) / took)) : Infinity;
  }

  place({ left, top, width, height }) {
    const dense = Math.min(devicePixelRatio || 1, 2);
    const { canvas } = this;
    const [wide, high] = [width, height].map((length) => Math.max(1, Math.round(length * dense)));
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.gl.viewport(0, 0, wide, high);
  }

  clear() {
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }
}
