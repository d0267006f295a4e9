// The grid of cards. Streamlit calls the default function again whenever the data or the theme
// changes and keeps `parentElement`, so cards that did not change are moved, not built again.

const grids = new WeakMap();

const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
};

const safeLink = (href) => {
  try {
    return ["http:", "https:"].includes(new URL(href, document.baseURI).protocol) ? href : null;
  } catch {
    return null;
  }
};

const icon = (text) => {
  const material = /^:material\/(\w+):$/.exec(text);
  const span = make("span", { className: material ? "icon material" : "icon" });
  span.textContent = material ? material[1] : text;
  span.setAttribute("aria-hidden", "true");
  return span;
};

const tool = (tag, label, symbol, testId) => {
  const element = make(tag, { className: "tool", title: label }, icon(symbol));
  element.setAttribute("aria-label", label);
  element.dataset.testid = testId;
  return element;
};

function picture(card) {
  const image = make("img", { loading: "lazy", decoding: "async", alt: "", draggable: false });
  image.onerror = () =>
    image.replaceWith(make("span", { className: "broken", textContent: "no preview" }));
  image.src = card.thumbnail;
  return image;
}

function score(measure, text, share, word) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${share * 100}%`;
  const bar = make("span", { className: "bar" }, fill);
  bar.setAttribute("aria-hidden", "true");
  const number = make("span", { className: "number", textContent: text });
  const said = word ? [make("span", { className: "measure", textContent: word })] : [];
  return make("div", { className: `score ${measure}`, title: measure }, number, ...said, bar);
}

function build(card, actions) {
  const [first] = actions;
  const name = [card.label || card.id];
  for (const measure of ["probability", "similarity"]) {
    if (card[measure]) name.push(`${measure} ${card[measure]}`);
  }
  const thumb = make(first ? "button" : "div", { className: "thumb", title: card.id });
  if (first) {
    thumb.dataset.action = first.name;
    name.push(first.label);
  } else {
    thumb.setAttribute("role", "img");
  }
  thumb.setAttribute("aria-label", name.filter(Boolean).join(", "));
  thumb.dataset.testid = "card-thumbnail";
  thumb.append(picture(card));

  const tools = make("div", { className: "tools" });
  for (const action of actions) {
    const button = tool("button", action.label, action.icon, `card-${action.name}`);
    button.dataset.action = action.name;
    tools.append(button);
  }
  if (card.href && safeLink(card.href)) {
    const link = tool("a", "Open full size", ":material/open_in_full:", "card-open");
    Object.assign(link, { href: card.href, target: "_blank", rel: "noopener noreferrer" });
    tools.append(link);
  }

  const frame = make("div", { className: "frame" }, thumb);
  if (card.mark) frame.append(make("span", { className: "mark", textContent: card.mark }));
  if (tools.childElementCount) frame.append(tools);
  const element = make("div", { className: "card" }, frame);
  if (card.probability) {
    const word = card.similarity && "pair"; // two numbers have to be told apart
    element.append(score("probability", card.probability, card.likely, word));
  }
  if (card.similarity) element.append(score("similarity", card.similarity, card.bar));
  for (const part of ["percentile", "label", "caption", "note"]) {
    if (!card[part]) continue;
    const title = part === "percentile" ? "" : card[part];
    element.append(make("div", { className: part, textContent: card[part], title }));
  }
  element.setAttribute("role", "listitem");
  element.classList.toggle("query", card.mark === "query");
  element.dataset.testid = "card";
  element.dataset.id = card.id;
  setTabStops(element, -1);
  return element;
}

// One card at a time is in the tab order: Tab goes through its buttons, arrows to other cards.
const setTabStops = (card, value) => {
  for (const stop of card.querySelectorAll("button, a")) stop.tabIndex = value;
};

function start(parent) {
  const list = make("div", { className: "grid" });
  list.setAttribute("role", "list");
  parent.append(list);
  const grid = { list, pool: new Map(), active: null };

  grid.activate = (card) => {
    if (grid.active === card) return;
    if (grid.active) setTabStops(grid.active, -1);
    grid.active = card;
    if (card) setTabStops(card, 0);
  };
  list.addEventListener("focusin", (event) => grid.activate(event.target.closest(".card")));
  list.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action]");
    if (!target) return;
    const id = target.closest(".card").dataset.id;
    grid.send("act", { id, action: target.dataset.action });
  });
  list.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const at = all.indexOf(event.target.closest(".card"));
    const top = all[0].offsetTop;
    const across = all.findIndex((card) => card.offsetTop > top);
    const row = across < 0 ? all.length : across;
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + row,
      ArrowUp: at - row,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    const focusable = all[to]?.querySelector("button, a");
    if (event.ctrlKey || event.metaKey || event.altKey || !focusable) return;
    event.preventDefault();
    focusable.focus();
    all[to].scrollIntoView({ block: "nearest" });
  });
  return grid;
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!grids.has(parentElement)) grids.set(parentElement, start(parentElement));
  const grid = grids.get(parentElement);
  grid.send = setTriggerValue; // the newest: it knows the fragment that drew us

  const { list, pool } = grid;
  const had = parentElement.activeElement;
  const drawn = new Map();
  const used = data.cards.map((card) => {
    const recipe = JSON.stringify([card, data.actions]);
    const element = pool.get(recipe)?.pop() ?? build(card, data.actions);
    drawn.set(recipe, [...(drawn.get(recipe) ?? []), element]);
    return element;
  });
  grid.pool = drawn;
  const same = used.length === list.childElementCount && used.every((e, i) => e === list.children[i]);
  if (!same) list.replaceChildren(...used);
  list.classList.toggle("fixed", Boolean(data.columns));
  list.style.setProperty("--columns", data.columns ?? "");

  if (!used.includes(grid.active)) grid.activate(used[0] ?? null);
  if (had && had !== parentElement.activeElement && had.isConnected) had.focus();
}
