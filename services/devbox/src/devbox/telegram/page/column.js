// One user's chat: bubbles, keyboards, the field to type in, the menu of commands.
//
// `update` takes what changed and touches only those bubbles, so that reading position, selection
// and focus survive edits.

import { isSafe, linkTo, renderText } from "/text.js";

const TOAST_MS = 4000;
const TYPING_MS = 5000;
const CLICK_MS = 30000;
const NEAR_BOTTOM_PX = 80;
const HUES = [188, 28, 262, 340, 145, 210, 52, 300];

const template = document.getElementById("column-template");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export class Column {
  constructor(userId, name, onRemove) {
    this.userId = userId;
    this.name = name;
    this.bubbles = new Map();
    this.waiting = new Map();
    this.commands = [];
    this.chosen = 0;
    this.blocked = false;
    this.following = true;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.field = this.find("textarea");
    this.list = this.find(".messages");
    this.scroll = this.find(".scroll");
    this.menu = this.find(".menu");
    this.describe();
    this.find(".remove").addEventListener("click", () => onRemove(userId));
    this.find(".block").addEventListener("click", () => this.toggleBlock());
    this.find(".start").addEventListener("click", () => this.say("/start"));
    this.listen();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  describe() {
    const { name, userId } = this;
    this.element.dataset.userId = userId;
    this.element.setAttribute("aria-label", `Chat of ${name}`);
    this.find(".name").textContent = name;
    this.find(".avatar").textContent = [...name][0];
    this.find(".avatar").style.setProperty("--hue", HUES[userId % HUES.length]);
    this.find(".remove").setAttribute("aria-label", `Remove ${name}`);
    this.find(".remove").title = `Remove ${name} from the page`;
    this.find(".open-menu").setAttribute("aria-label", "Commands");
    this.find(".open-menu").title = "Commands";
    this.menu.id = `menu-${userId}`;
    this.menu.setAttribute("aria-label", "Commands");
    this.field.setAttribute("aria-controls", this.menu.id);
    this.field.setAttribute("aria-label", `Message as ${name}`);
    this.scroll.setAttribute("aria-label", `Messages of ${name}`);
    this.list.setAttribute("aria-label", `Messages of ${name}`);
    this.showState();
  }

  listen() {
    const { field } = this;
    field.addEventListener("input", () => this.typed());
    field.addEventListener("keydown", (event) => this.pressed(event));
    field.addEventListener("blur", () => setTimeout(() => this.closeMenu(), 150));
    this.find(".composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.sendField();
    });
    this.find(".open-menu").addEventListener("click", () => {
      if (this.menu.hidden) {
        field.focus();
        this.openMenu(this.commands);
      } else {
        this.closeMenu();
      }
    });
  }

  focus() {
    this.field.focus();
  }

  showRemove(removable) {
    this.find(".remove").hidden = !removable;
  }

  // What changed on the server. `whole`: this is everything, not only changes.
  update(changes, whole) {
    this.following = whole || this.isAtBottom();
    if (whole) this.forgetAllBut(new Set(changes.messages.map((m) => m.message_id)));
    for (const message of changes.messages) this.showMessage(message);
    for (const id of changes.deleted) this.removeMessage(id);
    for (const answer of changes.answers) this.showAnswer(answer);
    this.blocked = changes.blocked;
    this.commands = changes.commands;
    this.find(".open-menu").hidden = !changes.commands.length;
    this.find(".welcome").hidden = this.bubbles.size > 0;
    this.showTyping(changes.action);
    this.showReplyKeyboard(changes.reply_keyboard);
    this.showState();
    if (this.following) this.toBottom();
  }

  showState() {
    const { blocked, name } = this;
    this.find(".state").textContent = blocked ? "has blocked the bot" : `user ${this.userId}`;
    this.find(".block").textContent = blocked ? "Unblock" : "Block";
    this.find(".block").title = blocked ? "Let the bot write again" : `Block the bot as ${name}`;
    this.element.classList.toggle("blocked", blocked);
    this.field.disabled = blocked;
    this.field.placeholder = blocked ? "Unblock the bot to write" : "Message";
  }

  isAtBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }

  toBottom() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  // --- messages ---

  showMessage(message) {
    const bubble = this.bubble(message);
    const old = this.bubbles.get(message.message_id);
    if (old) {
      old.replaceWith(bubble);
    } else {
      const next = [...this.list.children].find((c) => Number(c.dataset.id) > message.message_id);
      this.list.insertBefore(bubble, next ?? null);
    }
    this.bubbles.set(message.message_id, bubble);
  }

  bubble(message) {
    const item = element("li", `message from-${message.from}`);
    item.dataset.id = message.message_id;
    const body = element("div", "bubble");
    const speaker = message.from === "bot" ? "Bot" : this.name;
    body.append(element("span", "for-readers", `${speaker}: `));
    const replied = message.reply_to && this.bubbles.get(message.reply_to);
    if (replied) {
      body.append(element("p", "quote", replied.querySelector(".text")?.textContent ?? "Picture"));
    }
    if (message.photo) body.append(this.picture(message));
    if (message.document) body.append(this.document(message.document));
    if (message.text) {
      const text = element("div", "text");
      text.dir = "auto";
      text.append(renderText(message.text, message.entities, (command) => this.say(command)));
      body.append(text);
    }
    const time = element("time", "", clock.format(message.at * 1000));
    time.dateTime = new Date(message.at * 1000).toISOString();
    body.append(element("p", "stamp", message.edited ? "edited " : "", time));
    item.append(body);
    if (message.buttons.length) item.append(this.keyboard(message));
    return item;
  }

  // The picture as the bubble shows it; a click opens it whole.
  picture(message) {
    const image = element("img", "photo");
    image.alt = message.text ? "Picture with the text below" : "Picture";
    image.src = message.photo;
    // It takes its room once it is there; whoever read the end still does then.
    const { following } = this;
    image.addEventListener("load", () => {
      if (following) this.toBottom();
    });
    const link = element("a", "picture", image);
    link.href = message.photo;
    link.target = "_blank";
    link.rel = "noopener";
    return link;
  }

  document(file) {
    const link = element("a", "file", file.name);
    link.href = file.url;
    link.download = file.name;
    return link;
  }

  keyboard(message) {
    const keyboard = element("div", "keyboard");
    for (const row of message.buttons) {
      const line = element("div", "keyboard-row");
      for (const button of row) line.append(this.inlineButton(message, button));
      keyboard.append(line);
    }
    return keyboard;
  }

  inlineButton(message, button) {
    if (button.url && isSafe(button.url)) {
      const link = linkTo(button.url);
      link.className = "inline-button leads-away";
      link.textContent = button.text;
      return link;
    }
    const node = element("button", "inline-button", button.text);
    node.type = "button";
    node.dir = "auto";
    node.disabled = button.data === null;
    node.addEventListener("click", () => this.click(message.message_id, button.data, node));
    return node;
  }

  removeMessage(id) {
    this.bubbles.get(id)?.remove();
    this.bubbles.delete(id);
  }

  forgetAllBut(kept) {
    for (const id of [...this.bubbles.keys()]) if (!kept.has(id)) this.removeMessage(id);
  }

  showTyping(action) {
    const typing = this.find(".typing");
    clearTimeout(this.typingTimer);
    typing.hidden = !action;
    if (!action) return;
    typing.setAttribute("aria-label", `The bot: ${action.replaceAll("_", " ")}`);
    this.typingTimer = setTimeout(() => {
      typing.hidden = true;
    }, TYPING_MS);
  }

  showReplyKeyboard(rows) {
    const place = this.find(".reply-keyboard");
    place.hidden = !rows;
    place.replaceChildren(
      ...(rows ?? []).map((row) => {
        const line = element("div", "keyboard-row");
        for (const text of row) {
          const button = element("button", "reply-button", text);
          button.type = "button";
          button.dir = "auto";
          button.addEventListener("click", () => this.say(text));
          line.append(button);
        }
        return line;
      }),
    );
  }

  // --- answers to clicks ---

  showAnswer(answer) {
    this.stopWaiting(answer.callback_query_id);
    if (answer.text && answer.show_alert) {
      const dialog = this.find(".alert");
      dialog.querySelector("p").textContent = answer.text;
      if (!dialog.open) dialog.showModal();
    } else if (answer.text) {
      this.toast(answer.text);
    }
  }

  stopWaiting(queryId) {
    const waiting = this.waiting.get(queryId);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    waiting.button.classList.remove("waiting");
    this.waiting.delete(queryId);
  }

  toast(text, kind = "") {
    const toast = element("p", `toast ${kind}`, text);
    toast.dir = "auto";
    this.find(".toasts").append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  }

  // --- what the user does ---

  async post(path, body) {
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ user_id: this.userId, ...body }),
      });
      const answer = await response.json();
      if (response.ok) return answer;
      this.toast(answer.error, "trouble");
    } catch {
      this.toast("The simulator does not answer.", "trouble");
    }
    return null;
  }

  async say(text) {
    this.toBottom();
    return this.post("/sim/messages", { text, first_name: this.name });
  }

  async click(messageId, data, button) {
    button.classList.add("waiting");
    const clicked = await this.post("/sim/clicks", { message_id: messageId, data });
    if (!clicked) {
      button.classList.remove("waiting");
      return;
    }
    const queryId = clicked.callback_query_id;
    const timer = setTimeout(() => this.stopWaiting(queryId), CLICK_MS);
    this.waiting.set(queryId, { button, timer });
  }

  toggleBlock() {
    this.post("/sim/block", { blocked: !this.blocked });
  }

  async sendField() {
    const text = this.field.value.trim();
    if (!text) return;
    this.field.value = "";
    this.typed();
    if (!(await this.say(text)) && !this.field.value) {
      this.field.value = text;
      this.typed();
    }
  }

  typed() {
    const { field } = this;
    this.find(".send").disabled = !field.value.trim();
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
    const match = /^\/(\w*)$/.exec(field.value);
    const fitting = match ? this.commands.filter((c) => c.command.startsWith(match[1])) : [];
    if (fitting.length) this.openMenu(fitting);
    else this.closeMenu();
  }

  pressed(event) {
    if (event.isComposing) return;
    const open = !this.menu.hidden;
    const { key } = event;
    if (open && (key === "ArrowDown" || key === "ArrowUp")) {
      this.choose(this.chosen + (key === "ArrowDown" ? 1 : -1));
    } else if (open && key === "Escape") {
      this.closeMenu();
    } else if (open && key === "Tab" && !event.shiftKey) {
      this.complete(this.menu.children[this.chosen].dataset.command);
    } else if (key === "Enter" && !event.shiftKey) {
      if (open) this.sendCommand(this.menu.children[this.chosen].dataset.command);
      else this.sendField();
    } else {
      return;
    }
    event.preventDefault();
  }

  // --- the menu of commands ---

  openMenu(commands) {
    this.menu.replaceChildren(
      ...commands.map((command) => {
        const item = element(
          "li",
          "menu-item",
          element("strong", "", `/${command.command}`),
          element("span", "", command.description),
        );
        item.role = "option";
        item.id = `${this.menu.id}-${command.command}`;
        item.dataset.command = command.command;
        item.addEventListener("mousedown", (event) => event.preventDefault());
        item.addEventListener("click", () => this.sendCommand(command.command));
        return item;
      }),
    );
    this.menu.hidden = false;
    this.find(".open-menu").setAttribute("aria-expanded", "true");
    this.choose(0);
  }

  closeMenu() {
    this.menu.hidden = true;
    this.find(".open-menu").setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  choose(index) {
    const items = [...this.menu.children];
    this.chosen = (index + items.length) % items.length;
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === this.chosen)));
    items[this.chosen].scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", items[this.chosen].id);
  }

  complete(command) {
    this.field.value = `/${command} `;
    this.typed();
  }

  sendCommand(command) {
    this.field.value = "";
    this.typed();
    this.closeMenu();
    this.say(`/${command}`);
  }
}
