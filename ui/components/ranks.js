// Columns of neighbours. Lines behind the rows join what neighbouring columns share; hovering or
// focusing a row lights the same image everywhere.

const boards = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";

const make = (tag, className = "", text = "", ...children) => {
  const element = Object.assign(document.createElement(tag), { className });
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};

function button(action, className, label) {
  const element = make("button", className);
  element.type = "button";
  element.title = label;
  element.setAttribute("aria-label", label);
  element.dataset.action = action.name;
  element.tabIndex = -1;
  return element;
}

function build(row, at, actions, colours) {
  const element = make("li", "row");
  element.dataset.testid = "rank-row";
  element.dataset.id = row.id;
  element.title = row.id;
  const colour = row.number && colours[(row.number - 1) % colours.length];
  if (colour) {
    element.classList.add("shared");
    element.style.setProperty("--mark", colour);
    element.style.setProperty("--ink", ink(colour));
  }
  const said = [row.label || row.id, `rank ${at + 1}`, `similarity ${row.similarity}`, row.words];
  const thumb = button(actions[0], "thumb", [...said, actions[0].label].join(", "));
  thumb.title = row.id;
  thumb.dataset.testid = "rank-thumbnail";
  const image = Object.assign(make("img"), { loading: "lazy", decoding: "async", alt: "" });
  image.onerror = () => image.replaceWith("no preview");
  image.src = row.thumbnail;
  thumb.append(image);

  const percentile = make("span", "percentile", row.percentile);
  percentile.title = row.words;
  const score = make("div", "score", "", make("span", "number", row.similarity), percentile);
  const about = make("div", "about", "", make("span", "label", row.label));
  if (row.climb) {
    const climb = make("span", "climb", row.climb);
    about.prepend(climb);
    const how = { 1: "nearer than", 0: "as near as", [-1]: "farther than" }[row.moved];
    climb.title = `${row.climb}: ${how} under the first model`;
  }
  const mark = make("span", row.number ? "mark" : "", row.number ? String(row.number) : "");
  if (row.number) mark.title = `number ${row.number} in every column that shows it`;
  const tools = make("div", "tools");
  for (const action of actions) {
    const tool = button(action, "tool", action.label);
    tool.dataset.testid = `rank-${action.name}`;
    const icon = /^:material\/(\w+):$/.exec(action.icon);
    const symbol = make("span", "icon", icon ? icon[1] : action.icon);
    symbol.setAttribute("aria-hidden", "true");
    tool.append(symbol);
    tools.append(tool);
  }
  const middle = make("div", "middle", "", score, about);
  element.append(make("span", "rank", String(at + 1)), thumb, middle, mark, tools);
  return element;
}

function draw(board) {
  const { root, lines } = board;
  const origin = root.getBoundingClientRect();
  const last = new Map();
  const paths = [];
  for (const column of root.querySelectorAll(".column")) {
    for (const row of column.querySelectorAll(".row.shared")) {
      const box = row.getBoundingClientRect();
      const y = box.top - origin.top + box.height / 2;
      const [left, right] = [box.left - origin.left, box.right - origin.left];
      const from = last.get(row.dataset.id);
      if (from) {
        const path = document.createElementNS(SVG, "path");
        const bend = (left - from.x) / 2;
        path.setAttribute(
          "d",
          `M${from.x},${from.y}C${from.x + bend},${from.y} ${left - bend},${y} ${left},${y}`,
        );
        path.setAttribute("class", "line");
        path.style.stroke = row.style.getPropertyValue("--mark");
        path.dataset.id = row.dataset.id;
        path.dataset.testid = "rank-line";
        paths.push(path);
      }
      last.set(row.dataset.id, { x: right, y });
    }
  }
  lines.replaceChildren(...paths);
}

function light(board, id) {
  board.root.classList.toggle("quieter", id !== null);
  for (const element of board.root.querySelectorAll(".row, .line")) {
    element.classList.toggle("lit", element.dataset.id === id);
  }
}

const setTabStops = (row, value) => {
  for (const stop of row.querySelectorAll("button")) stop.tabIndex = value;
};

function activate(board, row) {
  if (board.active) setTabStops(board.active, -1);
  board.active = row;
  if (row) setTabStops(row, 0);
}

// One row at a time is in the tab order: Tab goes through its buttons, arrows to other rows.
function move(event) {
  const row = event.target.closest(".row");
  const column = row?.closest(".column");
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = [...row.parentElement.children].indexOf(row);
  const beside = (column) => column?.querySelectorAll(".row")[at];
  const to = {
    ArrowUp: row.previousElementSibling,
    ArrowDown: row.nextElementSibling,
    ArrowLeft: beside(column.previousElementSibling),
    ArrowRight: beside(column.nextElementSibling),
    Home: row.parentElement.firstElementChild,
    End: row.parentElement.lastElementChild,
  }[event.key];
  const stop = to?.querySelector("button");
  if (!stop) return;
  event.preventDefault();
  stop.focus();
}

function start(parent) {
  const frame = make("div", "ranks");
  const root = make("div", "board");
  root.dataset.testid = "ranks";
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("class", "lines");
  lines.setAttribute("aria-hidden", "true");
  frame.append(root);
  parent.append(frame);
  const board = { frame, root, lines, active: null };
  const rowOf = (event) => event.target.closest?.(".row");
  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action]");
    if (target) board.send("act", { id: rowOf(event).dataset.id, action: target.dataset.action });
  });
  root.addEventListener("mouseover", (event) => light(board, rowOf(event)?.dataset.id ?? null));
  root.addEventListener("mouseleave", () => light(board, null));
  root.addEventListener("focusin", (event) => {
    activate(board, rowOf(event));
    light(board, rowOf(event).dataset.id);
  });
  root.addEventListener("focusout", () => light(board, null));
  root.addEventListener("keydown", move);
  new ResizeObserver(() => draw(board)).observe(root);
  return board;
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!boards.has(parentElement)) boards.set(parentElement, start(parentElement));
  const board = boards.get(parentElement);
  board.send = setTriggerValue; // the newest: it knows the fragment that drew us

  const recipe = JSON.stringify(data);
  if (recipe === board.recipe) return;
  board.recipe = recipe;
  const heads = data.columns.map(({ name }) => {
    const title = make("div", "name", name);
    title.title = name;
    return make("div", "head", "", title, make("div", "legend", "similarity · percentile"));
  });
  const columns = data.columns.map((column) => {
    const rows = column.rows.map((row, at) => build(row, at, data.actions, data.colours));
    const list = make("ol", "list", "", ...rows);
    const element = make("section", "column", "", column.note ? make("p", "note", column.note) : list);
    element.setAttribute("aria-label", column.name);
    element.dataset.testid = "rank-column";
    return element;
  });
  board.root.style.setProperty("--columns", columns.length);
  board.root.classList.remove("quieter");
  board.root.replaceChildren(make("div", "heads", "", ...heads), ...columns, board.lines);
  board.frame.scrollTop = 0;
  activate(board, board.root.querySelector(".row"));
  draw(board);
}
