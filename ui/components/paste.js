// A focusable zone: Ctrl+V in it, or a click where the browser lets a page read the clipboard.

const zones = new WeakMap();
const PROMPT = "Paste a picture here (Ctrl+V)";

function start(parent) {
  const zone = document.createElement("button");
  zone.className = "zone";
  zone.dataset.testid = "paste-zone";
  const text = document.createElement("span");
  text.setAttribute("role", "status");
  text.textContent = PROMPT;
  zone.append(text);
  parent.append(zone);
  const state = {};
  const say = (message) => (text.textContent = message);

  const take = (blob, name) => {
    if (!blob) return say("No picture in the clipboard. Copy one first, then press Ctrl+V here.");
    const { max_bytes: most } = state.data;
    if (blob.size > most) return say(`Over ${most / 1e6} MB: save it as a file and upload that.`);
    say("Sending …");
    const reader = new FileReader();
    reader.onerror = () => say("The picture could not be read. Save it as a file and upload that.");
    reader.onload = () => {
      state.send("pasted", { name, mime: blob.type, base64: reader.result.split(",", 2)[1] });
      say(PROMPT);
    };
    reader.readAsDataURL(blob);
  };

  zone.addEventListener("paste", (event) => {
    event.preventDefault();
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    take(file, file?.name);
  });
  zone.addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((each) => each.startsWith("image/"));
        if (type) return take(await item.getType(type), `pasted.${type.slice(6)}`);
      }
      take(null);
    } catch {
      say("Now press Ctrl+V"); // refused, or not a secure page: the key still works
    }
  });
  return state;
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!zones.has(parentElement)) zones.set(parentElement, start(parentElement));
  Object.assign(zones.get(parentElement), { data, send: setTriggerValue });
}
