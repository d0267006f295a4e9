// The points of a map as they were sent: in an order whose first part is a random sample of them.

const STEPS = 65_535;
const CELLS = 256; // a side, of the grid in which a point under the mouse is looked up

class Points {
  // data: low, span, dims, count; coordinates in steps; code of each, or null.
  constructor(data, coordinates, codes) {
    Object.assign(this, data, { coordinates, codes });
  }

  at(point, axis) {
    const { dims, low, span } = this;
    return low[axis] + (this.coordinates[point * dims + axis] / STEPS) * span[axis];
  }

  steps(value, axis) {
    return ((value - this.low[axis]) / this.span[axis]) * STEPS;
  }

  // The ranges of both axes that show all.
  whole() {
    return [0, 1].map((axis) => {
      const margin = this.span[axis] * 0.04;
      return [this.low[axis] - margin, this.low[axis] + this.span[axis] + margin];
    });
  }

  // The first points in a view, and half a view around it, up to what can be drawn; how many of all
  // are in the view itself; and how many of the former are.
  inView(view, most) {
    const { dims, count, coordinates } = this;
    const limits = view.map(([a, b], axis) => [a, b].map((end) => this.steps(end, axis)).sort((x, y) => x - y));
    const [[left, right], [bottom, top]] = limits;
    const [wide, high] = [(right - left) / 2, (top - bottom) / 2];
    const points = new Uint32Array(Math.min(count, most));
    let [taken, total, drawn] = [0, 0, 0];
    for (let i = 0, at = 0; i < count; i++, at += dims) {
      const x = coordinates[at];
      const y = coordinates[at + 1];
      if (x < left - wide || x > right + wide || y < bottom - high || y > top + high) continue;
      const inside = x >= left && x <= right && y >= bottom && y <= top;
      if (inside) total++;
      if (taken === points.length) continue;
      points[taken++] = i;
      if (inside) drawn++;
    }
    return { points: points.subarray(0, taken), total, drawn };
  }

  // The point nearest to a place, none farther than `reach` on either axis; -1 for none.
  nearest([x, y], reach, isShown) {
    const [at, by] = [[x, y].map((v, axis) => this.steps(v, axis)), reach.map((r, axis) => (r / this.span[axis]) * STEPS)];
    const [[left, right], [bottom, top]] = at.map((v, axis) =>
      [v - by[axis], v + by[axis]].map((end) => Math.min(Math.max(Math.floor(end / CELLS), 0), CELLS - 1)),
    );
    const { starts, members } = this.grid();
    let [best, least] = [-1, 1];
    for (let column = left; column <= right; column++) {
      for (let row = bottom; row <= top; row++) {
        const cell = column * CELLS + row;
        for (let place = starts[cell]; place < starts[cell + 1]; place++) {
          const point = members[place];
          const dx = (this.coordinates[2 * point] - at[0]) / by[0];
          const dy = (this.coordinates[2 * point + 1] - at[1]) / by[1];
          const distance = dx * dx + dy * dy;
          if (distance < least && isShown(point)) [best, least] = [point, distance];
        }
      }
    }
    return best;
  }

  // The points of each cell, one cell after the other.
  grid() {
    if (this.cells) return this.cells;
    const { count, coordinates } = this;
    const cellOf = (point) => (coordinates[2 * point] >> 8) * CELLS + (coordinates[2 * point + 1] >> 8);
    const starts = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < count; i++) starts[cellOf(i) + 1]++;
    for (let cell = 0; cell < CELLS * CELLS; cell++) starts[cell + 1] += starts[cell];
    const next = starts.slice();
    const members = new Uint32Array(count);
    for (let i = 0; i < count; i++) members[next[cellOf(i)]++] = i;
    this.cells = { starts, members };
    return this.cells;
  }
}
