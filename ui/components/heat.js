// Pictures under their heat maps. A map comes as a grey PNG and gets its colours here, so that
// opacity and colours change without a new map. All arithmetic is in pixels of the upright image;
// a picture shows a window of it, and the screen only scales.

const drawings = new WeakMap();
const HINT = "Click a place, or move the cross with the arrow keys and press Enter.";
const STEPS = 14; // of the cross, over a picture
const RAMP = { width: 256, height: 1, levels: Array.from({ length: 256 }, (_, level) => level) };
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (part) => `${part * 100}%`;

const make = (className, into, tag = "div") => {
  const element = document.createElement(tag);
  element.className = className;
  into?.append(element);
  return element;
};

const bytesOf = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

// The levels of a map, 0 … 255, decoded once.
async function levelsOf(heat) {
  const image = new Image();
  image.src = `data:image/png;base64,${heat}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width: canvas.width, height: canvas.height, levels: pixels.data.filter((_, i) => i % 4 === 0) };
}

function paint(canvas, { width, height, levels }, table) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  levels.forEach((level, place) => {
    pixels.data.set(table.subarray(level * 3, level * 3 + 3), place * 4);
    pixels.data[place * 4 + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
}

class Pane {
  constructor(owner, number) {
    this.owner = owner;
    this.number = number;
    this.root = make("pane", null, "figure");
    this.root.dataset.testid = "heat-picture";
    this.stage = make("stage", make("frame", this.root));
    this.stage.dataset.testid = "heat-stage";
    this.image = make("image", this.stage, "img");
    this.image.alt = "";
    this.image.draggable = false;
    this.image.onerror = () => this.stage.classList.add("broken");
    this.image.onload = () => this.stage.classList.remove("broken");
    make("missing", this.stage).textContent = "no preview";
    this.canvas = make("heat", this.stage, "canvas");
    this.canvas.dataset.testid = "heat-map";
    this.unseen = make("unseen", this.stage);
    this.unseen.title = "The network did not see this border.";
    this.unseen.dataset.testid = "heat-unseen";
    this.marks = make("marks", this.stage);
    this.cross = make("cross", this.stage);
    this.cross.dataset.testid = "heat-cross";
    this.caption = make("caption", this.root, "figcaption");
    this.lines = make("lines", this.root);
    this.stage.addEventListener("click", (event) => this.clicked(event));
    this.stage.addEventListener("keydown", (event) => this.pressed(event));
    for (const [type, number] of [["pointerover", true], ["pointerout", false]]) {
      this.marks.addEventListener(type, (event) => {
        const mark = event.target.closest(".mark");
        this.owner.light(number && mark ? mark.dataset.number : null);
      });
    }
  }

  update(data, table, opacity) {
    const [x, y, w, h] = data.window;
    this.data = data;
    this.stage.style.setProperty("--ratio", w / h);
    this.stage.classList.toggle("clickable", data.clickable);
    this.stage.tabIndex = data.clickable ? 0 : -1;
    this.stage.setAttribute("role", data.clickable ? "application" : "img");
    this.stage.setAttribute("aria-label", data.label);
    if (data.clickable) this.stage.setAttribute("aria-description", HINT);
    else this.stage.removeAttribute("aria-description");
    if (this.url !== data.url) this.image.src = this.url = data.url;
    this.place(this.image, [0, 0, data.width, data.height]);
    this.caption.textContent = data.caption;
    this.caption.title = data.caption;
    this.caption.hidden = !data.caption;
    this.lines.replaceChildren(
      ...data.lines.map((text) => Object.assign(document.createElement("div"), { textContent: text })),
    );
    this.canvas.style.opacity = data.heat ? opacity : 0;
    this.colour(data.heat, table);
    this.hatch(data.seen);
    this.mark(data.marks);
    this.cursor = data.point ?? null;
    this.point();
  }

  // A box of the upright image, in the window.
  place(element, [x, y, w, h]) {
    const [left, top, width, height] = this.data.window;
    element.style.left = percent((x - left) / width);
    element.style.top = percent((y - top) / height);
    element.style.width = percent(w / width);
    element.style.height = percent(h / height);
  }

  async colour(heat, table) {
    const recipe = `${heat}|${table}`;
    if (!heat || this.shown === recipe) return;
    this.shown = recipe;
    if (this.heat !== heat) {
      this.heat = heat;
      this.levels = levelsOf(heat);
    }
    const levels = await this.levels;
    if (this.shown === recipe) paint(this.canvas, levels, bytesOf(table));
  }

  hatch([x, y, w, h]) {
    const [left, top, width, height] = this.data.window;
    const x0 = clamp((x - left) / width, 0, 1);
    const y0 = clamp((y - top) / height, 0, 1);
    const x1 = clamp((x + w - left) / width, 0, 1);
    const y1 = clamp((y + h - top) / height, 0, 1);
    this.unseen.hidden = x0 + y0 + (1 - x1) + (1 - y1) < 0.004;
    this.canvas.style.clipPath = `inset(${[y0, 1 - x1, 1 - y1, x0].map(percent).join(" ")})`;
    const [a, b, c, d] = [x0, y0, x1, y1].map(percent);
    this.unseen.style.clipPath =
      `polygon(evenodd, 0 0, 100% 0, 100% 100%, 0 100%, 0 0, ${a} ${b}, ${c} ${b}, ${c} ${d}, ${a} ${d}, ${a} ${b})`;
  }

  mark(marks) {
    this.marks.replaceChildren(
      ...marks.map(({ box, number, text }) => {
        const element = make("mark");
        element.dataset.testid = "heat-mark";
        element.dataset.number = number;
        const colour = this.owner.colours[(number - 1) % this.owner.colours.length];
        element.style.setProperty("--colour", colour);
        element.style.setProperty("--ink", ink(colour));
        element.title = text;
        make("number", element, "span").textContent = number;
        this.place(element, box);
        return element;
      }),
    );
  }

  point() {
    this.cross.hidden = !this.cursor;
    if (!this.cursor) return;
    const [x, y] = this.cursor;
    const [left, top, width, height] = this.data.window;
    this.cross.style.left = percent((x + 0.5 - left) / width);
    this.cross.style.top = percent((y + 0.5 - top) / height);
  }

  clicked(event) {
    if (!this.data.clickable) return;
    const area = this.stage.getBoundingClientRect();
    const [left, top, width, height] = this.data.window;
    this.choose([
      left + clamp((event.clientX - area.left) / area.width, 0, 1) * width,
      top + clamp((event.clientY - area.top) / area.height, 0, 1) * height,
    ]);
  }

  pressed(event) {
    if (!this.data.clickable || event.ctrlKey || event.metaKey || event.altKey) return;
    const [left, top, width, height] = this.data.window;
    const cursor = this.cursor ?? [left + width / 2, top + height / 2];
    const step = {
      ArrowLeft: [-width, 0],
      ArrowRight: [width, 0],
      ArrowUp: [0, -height],
      ArrowDown: [0, height],
    }[event.key];
    if (step) {
      this.cursor = [
        clamp(cursor[0] + step[0] / STEPS, left, left + width - 1),
        clamp(cursor[1] + step[1] / STEPS, top, top + height - 1),
      ];
      this.point();
    } else if (event.key === "Enter" || event.key === " ") this.choose(cursor);
    else return;
    event.preventDefault();
  }

  choose([x, y]) {
    this.cursor = [Math.floor(x), Math.floor(y)];
    this.point();
    this.owner.send("place", { picture: this.number, x, y });
  }
}

class Drawing {
  constructor(parent) {
    this.root = make("heats", parent);
    this.legend = make("legend", parent);
    make("end", this.legend, "span").textContent = "least";
    this.scale = make("scale", this.legend, "canvas");
    make("end", this.legend, "span").textContent = "most";
    this.panes = [];
  }

  update(data, send) {
    this.send = send;
    this.colours = data.colours;
    this.root.classList.toggle("fixed", Boolean(data.columns));
    this.root.classList.toggle("square", data.square);
    this.root.style.setProperty("--columns", data.columns ?? "");
    this.legend.hidden = !data.legend;
    if (data.legend) paint(this.scale, RAMP, bytesOf(data.table));
    while (this.panes.length < data.pictures.length) {
      this.panes.push(new Pane(this, this.panes.length));
    }
    this.panes.length = data.pictures.length;
    this.root.replaceChildren(...this.panes.map((pane) => pane.root));
    this.panes.forEach((pane, i) => pane.update(data.pictures[i], data.table, data.opacity));
  }

  light(number) {
    for (const mark of this.root.querySelectorAll(".mark")) {
      mark.classList.toggle("lit", mark.dataset.number === number);
    }
    this.root.classList.toggle("lighting", number !== null);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!drawings.has(parentElement)) drawings.set(parentElement, new Drawing(parentElement));
  drawings.get(parentElement).update(data, setTriggerValue);
}
