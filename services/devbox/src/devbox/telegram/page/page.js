// The page: which users are shown, and one long poll for all of them.
//
// Every answer of /sim/changes tells what changed after the version of the one before. After a
// failure the page starts again from version 0, because a simulator that was restarted begins anew.

import { Column } from "/column.js";

const WAIT_SECONDS = 25;
const RETRY_MS = [500, 1000, 2000, 4000];
const FIRST_USER_ID = 101;
const USERS_MAX = 12;
const NAMES = [
  "Ada", "Bela", "Chen", "Dara", "Emil", "Fatma", "Goran", "Hana", "Ilya", "Jun", "Kofi", "Lena",
];
const STORED = "purser.users";

const place = document.getElementById("columns");
const linkState = document.getElementById("link-state");
const addButton = document.getElementById("add-user");
const columns = new Map();
let poll = new AbortController();

function nameOf(userId) {
  const index = userId - FIRST_USER_ID;
  return index >= 0 && index < NAMES.length ? NAMES[index] : `User ${userId}`;
}

// The users of the address (?users=7,8), of the last visit, or the first one.
function usersAtStart() {
  const asked = new URLSearchParams(location.search).get("users");
  const text = asked ?? localStorage.getItem(STORED) ?? "";
  const ids = text.split(",").map(Number).filter((id) => Number.isSafeInteger(id) && id > 0);
  return ids.length ? [...new Set(ids)].slice(0, USERS_MAX) : [FIRST_USER_ID];
}

function addColumn(userId) {
  const column = new Column(userId, nameOf(userId), removeColumn);
  columns.set(userId, column);
  place.append(column.element);
  afterChange();
  return column;
}

function removeColumn(userId) {
  columns.get(userId).element.remove();
  columns.delete(userId);
  afterChange();
  addButton.focus();
}

function afterChange() {
  localStorage.setItem(STORED, [...columns.keys()].join(","));
  addButton.disabled = columns.size >= USERS_MAX;
  for (const column of columns.values()) column.showRemove(columns.size > 1);
  poll.abort();
}

function showLink(state, words) {
  linkState.dataset.state = state;
  if (linkState.textContent !== words) linkState.textContent = words;
}

async function follow() {
  let version = 0;
  let failures = 0;
  for (;;) {
    poll = new AbortController();
    const asked = [...columns.keys()];
    const query = `users=${asked.join(",")}&after=${version}&wait=${WAIT_SECONDS}`;
    try {
      const response = await fetch(`/sim/changes?${query}`, { signal: poll.signal });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const changes = await response.json();
      const restarted = changes.version < version;
      for (const user of changes.users) columns.get(user.user_id)?.update(user, version === 0);
      version = restarted ? 0 : changes.version;
      failures = 0;
      showLink("up", `Connected to @${changes.bot.username}`);
    } catch (error) {
      version = 0;
      if (error.name === "AbortError") continue;
      showLink("down", "Connection lost, trying again");
      await new Promise((resolve) => {
        setTimeout(resolve, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
      });
    }
  }
}

addButton.addEventListener("click", () => {
  let userId = FIRST_USER_ID;
  while (columns.has(userId)) userId += 1;
  const column = addColumn(userId);
  column.element.scrollIntoView({ inline: "end", block: "nearest" });
  column.focus();
});

for (const userId of usersAtStart()) addColumn(userId);
follow();
