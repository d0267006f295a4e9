// The crop box. All arithmetic is in image pixels: a box is { x, y, w, h }, the screen only scales.
// Python hears of a box when a gesture ends, as { number, url, box }. It sends back the number it
// saw last; until that is our newest, a box from Python is older than what the person drew.

const croppers = new WeakMap();
const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const HINT = "Drag to draw a box, or press Enter. Arrow keys move it, with Shift they resize it, Escape clears it.";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

class Cropper {
  constructor(parent) {
    this.box = null;
    this.drag = null;
    this.number = null; // of the newest gesture sent
    this.count = 0;
    this.session = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.draw(parent);
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown"]) {
      this.stage.addEventListener(type, (event) => this[type](event));
    }
    this.stage.addEventListener("blur", () => this.flush());
  }

  draw(parent) {
    const make = (className, into, tag = "div") => {
      const element = document.createElement(tag);
      element.className = className;
      into.append(element);
      return element;
    };
    const root = make("cropper", parent);
    this.stage = make("stage", root);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-description", HINT);
    this.stage.dataset.testid = "cropper";
    this.image = make("image", this.stage, "img");
    this.image.draggable = false;
    this.image.onerror = () => this.stage.classList.add("broken");
    this.image.onload = () => this.stage.classList.remove("broken");
    make("missing", this.stage).textContent = "no preview";
    this.drawn = make("drawn", this.stage);
    this.shade = make("shade", make("clip", this.stage));
    this.frame = make("box", this.stage);
    this.frame.dataset.testid = "cropper-box";
    for (const side of HANDLES) make(`handle ${side}`, this.frame).dataset.side = side;
    const line = make("line", root);
    this.size = make("size", line, "output");
    this.size.dataset.testid = "cropper-size";
    this.clearButton = make("clear", line, "button");
    this.clearButton.textContent = "whole picture";
    this.clearButton.dataset.testid = "cropper-clear";
    this.clearButton.onclick = () => {
      this.stage.focus({ preventScroll: true });
      this.commit(null);
    };
  }

  // ---- Python → screen
  update(data, setStateValue) {
    this.send = setStateValue;
    const other = data.url !== this.data?.url;
    this.data = data;
    if (other) {
      clearTimeout(this.timer);
      this.timer = this.drag = this.number = null;
      this.image.src = data.url;
    }
    const { width, height } = data;
    this.stage.style.setProperty("--ratio", width / height);
    this.stage.setAttribute("aria-label", `Crop ${data.label}, ${width} by ${height} pixels`);
    const ours = this.drag || this.timer || (this.number && this.number !== data.seen);
    if (!ours) {
      const [x, y, w, h] = data.box ?? [];
      this.box = data.box ? { x, y, w, h } : null;
    }
    this.outline(data.drawn);
    this.paint();
  }

  paint() {
    const { width, height } = this.data;
    const box = this.box;
    this.stage.classList.toggle("cropped", Boolean(box));
    this.clearButton.hidden = !box;
    const text = box
      ? `${Math.round(box.w)} × ${Math.round(box.h)} px`
      : `${width} × ${height} px · drag to crop`;
    if (this.size.textContent !== text) this.size.textContent = text;
    this.size.title = `of ${width} × ${height} px`;
    if (!box) return;
    for (const element of [this.shade, this.frame]) this.place(element, box);
  }

  place(element, { x, y, w, h }) {
    const { width, height } = this.data;
    element.style.left = `${(x / width) * 100}%`;
    element.style.top = `${(y / height) * 100}%`;
    element.style.width = `${(w / width) * 100}%`;
    element.style.height = `${(h / height) * 100}%`;
  }

  outline(boxes) {
    const made = boxes.map(([x, y, w, h], i) => {
      const element = document.createElement("div");
      element.dataset.testid = "cropper-drawn";
      element.dataset.number = i + 1;
      this.place(element, { x, y, w, h });
      return element;
    });
    this.drawn.replaceChildren(...made);
  }

  // ---- screen → Python
  commit(box) {
    clearTimeout(this.timer);
    this.timer = null;
    const { width, height } = this.data;
    if (box) {
      const x = Math.round(box.x);
      const y = Math.round(box.y);
      box = { x, y, w: Math.round(box.x + box.w) - x, h: Math.round(box.y + box.h) - y };
      if (box.w >= width && box.h >= height) box = null;
    }
    this.box = box;
    this.paint();
    this.number = `${this.session}:${++this.count}`;
    const sent = box && [box.x, box.y, box.w, box.h];
    this.send("gesture", { number: this.number, url: this.data.url, box: sent });
  }

  flush() {
    if (this.timer) this.commit(this.box);
  }

  // ---- pointer
  point(event) {
    const area = this.stage.getBoundingClientRect();
    const { width, height } = this.data;
    return {
      x: clamp(((event.clientX - area.left) / area.width) * width, 0, width),
      y: clamp(((event.clientY - area.top) / area.height) * height, 0, height),
    };
  }

  pointerdown(event) {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.flush();
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const side = event.target.dataset.side;
    const kind = side ? "resize" : event.target === this.frame ? "move" : "new";
    const before = this.box;
    const screen = { x: event.clientX, y: event.clientY };
    this.drag = { kind, side, before, screen, from: this.point(event), far: false };
  }

  pointermove(event) {
    const { drag } = this;
    if (!drag || !event.isPrimary) return;
    const moved = Math.hypot(event.clientX - drag.screen.x, event.clientY - drag.screen.y);
    if (moved >= 4) drag.far = true; // less is a click
    if (!drag.far) return;
    const to = this.point(event);
    const dx = to.x - drag.from.x;
    const dy = to.y - drag.from.y;
    if (drag.kind === "new") this.box = this.between(drag.from, to);
    else if (drag.kind === "move") this.box = this.moved(drag.before, dx, dy);
    else this.box = this.resized(drag.before, drag.side, dx, dy);
    this.paint();
  }

  pointerup(event) {
    const { drag } = this;
    if (!drag || !event.isPrimary) return;
    this.pointermove(event);
    this.drag = null;
    if (drag.far) this.commit(this.box);
    else if (drag.kind === "new" && drag.before) this.commit(null);
  }

  pointercancel(event) {
    if (!this.drag || !event.isPrimary) return;
    this.box = this.drag.before;
    this.drag = null;
    this.paint();
  }

  // ---- keyboard: sent when the keys rest
  keydown(event) {
    const { width, height } = this.data;
    if (event.key === "Escape") {
      const drag = this.drag;
      this.drag = null;
      if (drag) {
        this.box = drag.before;
        this.paint();
      } else if (this.box) this.commit(null);
      return;
    }
    if (event.key === "Enter" && !this.box) {
      this.commit(this.fitted({ x: width / 4, y: height / 4, w: width / 2, h: height / 2 }));
      return;
    }
    const [ax, ay] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (ax === undefined || !this.box || this.drag) return;
    event.preventDefault();
    const step = Math.max(1, Math.round(Math.max(width, height) / 100));
    const change = event.shiftKey
      ? this.resized(this.box, "se", ax * step, ay * step)
      : this.moved(this.box, ax * step, ay * step);
    this.box = change;
    this.paint();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), 350);
  }

  // ---- boxes
  get least() {
    return { w: Math.min(this.data.min, this.data.width), h: Math.min(this.data.min, this.data.height) };
  }

  fitted(box) {
    const w = clamp(box.w, this.least.w, this.data.width);
    const h = clamp(box.h, this.least.h, this.data.height);
    return { x: clamp(box.x, 0, this.data.width - w), y: clamp(box.y, 0, this.data.height - h), w, h };
  }

  between(a, b) {
    const x = Math.min(a.x, b.x);
    const y = Math.min(a.y, b.y);
    return this.fitted({ x, y, w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) });
  }

  moved(box, dx, dy) {
    return this.fitted({ ...box, x: box.x + dx, y: box.y + dy });
  }

  resized(box, side, dx, dy) {
    const { w: leastW, h: leastH } = this.least;
    let { x, y } = box;
    let right = x + box.w;
    let bottom = y + box.h;
    if (side.includes("w")) x = clamp(x + dx, 0, right - leastW);
    if (side.includes("e")) right = clamp(right + dx, x + leastW, this.data.width);
    if (side.includes("n")) y = clamp(y + dy, 0, bottom - leastH);
    if (side.includes("s")) bottom = clamp(bottom + dy, y + leastH, this.data.height);
    return { x, y, w: right - x, h: bottom - y };
  }
}

export default function ({ data, parentElement, setStateValue }) {
  if (!croppers.has(parentElement)) croppers.set(parentElement, new Cropper(parentElement));
  const cropper = croppers.get(parentElement);
  cropper.update(data, setStateValue);
  return () => clearTimeout(cropper.timer);
}
