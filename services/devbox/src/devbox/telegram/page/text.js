// Text with entities as DOM nodes. Nothing is ever parsed as HTML: every piece of a message ends in
// a text node, so whatever a bot or a user writes stays text. Telegram counts entity offsets in
// UTF-16 code units, as JavaScript strings do.

const TAGS = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  pre: "pre",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};

// What stands on lines of its own: the line break after it is already there.
const BLOCKS = new Set(["pre", "blockquote", "expandable_blockquote"]);

const SAFE_PROTOCOLS = new Set(["http:", "https:", "tg:"]);

// The text as a fragment; `onCommand` is called with a command that is pressed.
export function renderText(text, entities, onCommand) {
  const fragment = document.createDocumentFragment();
  const ordered = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  fill(fragment, text, 0, text.length, ordered, onCommand);
  return fragment;
}

// Appends text[start, end) to `parent`; `entities` are those inside, outer ones first.
function fill(parent, text, start, end, entities, onCommand) {
  let position = start;
  let index = 0;
  while (index < entities.length) {
    const entity = entities[index++];
    const from = Math.max(entity.offset, position);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) continue;
    const inside = [];
    while (index < entities.length && entities[index].offset < to) inside.push(entities[index++]);
    parent.append(text.slice(position, from));
    const node = nodeFor(entity, text.slice(from, to), onCommand);
    fill(node, text, from, to, inside, onCommand);
    parent.append(node);
    position = to;
    if (BLOCKS.has(entity.type) && text[to] === "\n" && to < end) position += 1;
  }
  parent.append(text.slice(position, end));
}

function nodeFor(entity, content, onCommand) {
  if (entity.type === "bot_command") {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "command";
    button.addEventListener("click", () => onCommand(content));
    return button;
  }
  if (entity.type === "spoiler") {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "spoiler";
    button.setAttribute("aria-label", "Hidden text, press to show");
    button.addEventListener("click", () => {
      button.classList.add("shown");
      button.removeAttribute("aria-label");
    });
    return button;
  }
  const address = entity.type === "text_link" ? entity.url : entity.type === "url" ? content : "";
  if (address) return linkTo(address);
  return document.createElement(TAGS[entity.type] ?? "span");
}

// A link that opens a new page, or a plain span for an address no browser should follow.
export function linkTo(address) {
  if (!isSafe(address)) return document.createElement("span");
  const link = document.createElement("a");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

export function isSafe(address) {
  try {
    return SAFE_PROTOCOLS.has(new URL(address).protocol);
  } catch {
    return false;
  }
}
