// Pictures at their points, where there is room for them.

const MOST_PICTURES = 250;
const PICTURE = 48; // pixels a side
const ROOM = 0.8; // of a side, between the middles of two

class MapPictures {
  constructor(parent, describe) {
    this.box = element("div", "pictures", parent);
    parent.prepend(this.box); // below the query, its lines and the lasso
    this.describe = describe;
    this.images = [];
    this.shown = false;
  }

  clear() {
    this.images = [];
    this.box.replaceChildren();
  }

  // The first points in order whose pictures do not hide those before them.
  async choose(points, order, view, box) {
    const taken = new Map(); // by the part of the view, as large as a picture, that its middle is in
    const places = [];
    for (const point of order) {
      if (places.length === MOST_PICTURES) break;
      const { x, y } = this.placeOf(points, point, view, box);
      if (x < 0 || y < 0 || x > box.width || y > box.height) continue;
      const [column, row] = [Math.floor(x / PICTURE), Math.floor(y / PICTURE)];
      const around = [-1, 0, 1].flatMap((i) => [-1, 0, 1].map((j) => taken.get(`${column + i} ${row + j}`)));
      if (around.some((one) => one && Math.max(Math.abs(one.x - x), Math.abs(one.y - y)) < PICTURE * ROOM)) continue;
      taken.set(`${column} ${row}`, { x, y });
      places.push(point);
    }
    const round = (this.round = Symbol("the newest choice"));
    const known = await this.describe(places);
    if (round !== this.round || !this.shown) return;
    const before = new Map(this.images.map((each) => [each.point, each.image]));
    this.images = places.flatMap((point, i) => (known[i] ? [{ point, image: before.get(point) ?? this.image(known[i]) }] : []));
    this.box.replaceChildren(...this.images.map((each) => each.image));
    this.move(points, view, box);
  }

  image({ thumbnail }) {
    const image = document.createElement("img");
    Object.assign(image, { alt: "", src: thumbnail, width: PICTURE, height: PICTURE });
    return image;
  }

  placeOf(points, point, view, box) {
    const [x, y] = view.map(([from, to], axis) => (points.at(point, axis) - from) / (to - from));
    return { x: x * box.width, y: (1 - y) * box.height };
  }

  move(points, view, box) {
    const { left, top, width, height } = box;
    Object.assign(this.box.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    for (const { point, image } of this.images) {
      const { x, y } = this.placeOf(points, point, view, box);
      image.style.transform = `translate(${x - PICTURE / 2}px, ${y - PICTURE / 2}px)`;
    }
  }
}
