"use strict";
// Keeps the page up to date: after each cycle it is fetched again, and the parts that have changed are put in place.
// Without this script the page is whole, and asks again by itself.

const QUIET_MS = 2000;
const LOST_MS = 50000;
const DONE_MS = 15000;

let heardAt = Date.now();
let fetchedAt = Date.now();
let waiting = null;
let fetching = false;
let again = false;

function parts(root) {
  return new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.id, part]));
}

// Where the keyboard is, in words that also find it in the next version of the same part.
function place(part) {
  const at = document.activeElement;
  if (!at || !part.contains(at)) return null;
  const name = at.id ? `#${CSS.escape(at.id)}` : null;
  const alike = [...part.querySelectorAll(at.tagName)];
  return { name, tag: at.tagName, index: alike.indexOf(at) };
}

function restore(part, was) {
  if (!was) return;
  const found = (was.name && part.querySelector(was.name)) || part.querySelectorAll(was.tag)[was.index];
  if (found) found.focus({ preventScroll: true });
}

// What can be opened, by what it belongs to.
function foldable(part) {
  const name = (details) => details.closest("[id]")?.id + details.querySelector("summary").textContent;
  return new Map([...part.querySelectorAll("details")].map((details) => [name(details), details]));
}

function put(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  const before = foldable(old);
  const was = place(old);
  old.replaceChildren(...fresh.childNodes);
  for (const [name, details] of foldable(old)) {
    if (before.has(name)) details.open = before.get(name).open;
  }
  restore(old, was);
}

function swap(fresh) {
  const [mine, theirs] = [parts(document), parts(fresh)];
  const main = document.getElementById("main");
  if (mine.size === 0 || [...mine.keys()].join() !== [...theirs.keys()].join()) {
    put(main, fresh.getElementById("main"));
  } else {
    for (const [id, part] of mine) put(part, theirs.get(id));
    const [state, next] = [document.getElementById("state"), fresh.getElementById("state")];
    if (state && next) state.className = next.className;
    // This one is read aloud when it changes, and only then.
    const [said, now] = [document.getElementById("sentence"), fresh.getElementById("sentence")];
    if (said && now && said.textContent !== now.textContent) said.textContent = now.textContent;
  }
  const [chip, nextChip] = [document.getElementById("now"), fresh.getElementById("now")];
  if (chip && nextChip) put(chip, nextChip);
  document.title = fresh.title;
  const [icon, nextIcon] = [document.querySelector("link[rel=icon]"), fresh.querySelector("link[rel=icon]")];
  if (icon && nextIcon && icon.href !== nextIcon.href) icon.href = nextIcon.href;
}

async function refresh() {
  waiting = null;
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", signal: AbortSignal.timeout(10000) });
    const text = await answer.text();
    if (answer.redirected) location.reload();
    else if (answer.ok) {
      swap(new DOMParser().parseFromString(text, "text/html"));
      tick();
    }
  } catch {
    // The stream says whether anybody is there.
  } finally {
    fetching = false;
    fetchedAt = Date.now();
    if (again) {
      again = false;
      soon();
    }
  }
}

function soon() {
  if (waiting !== null || document.hidden) return;
  waiting = setTimeout(refresh, Math.max(0, fetchedAt + QUIET_MS - Date.now()));
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  for (const [big, small, per, unit, limit] of [["min", "s", 60, 1, 3600], ["h", "min", 3600, 60, 86400], ["d", "h", 86400, 3600, Infinity]]) {
    if (seconds < limit) {
      const rest = Math.floor((seconds % per) / unit);
      return `${Math.floor(seconds / per)} ${big}` + (rest ? ` ${rest} ${small}` : "");
    }
  }
  return "";
}

// The clock of the machine that is watched, as far as the page can tell.
const ahead = Date.now() - Date.parse(document.body.dataset.at);

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = Math.max(0, Math.round((Date.now() - ahead - Date.parse(time.dateTime)) / 1000));
    const told = `${duration(seconds)} ago`;
    if (time.textContent !== told) time.textContent = told;
  }
  if (!document.hidden && Date.now() - heardAt > LOST_MS) lost();
}

function heard() {
  heardAt = Date.now();
  const stale = document.getElementById("stale");
  if (!stale.hidden) {
    stale.hidden = true;
    stale.textContent = "";
  }
}

function lost() {
  const stale = document.getElementById("stale");
  if (!stale.hidden) return;
  const since = new Date(heardAt - ahead).toISOString().slice(11, 19);
  stale.textContent = `Nothing new since ${since} UTC: monitord does not answer. What you see is of then.`;
  stale.hidden = false;
}

let stream = null;

function listen() {
  heardAt = Date.now();
  stream = new EventSource("/events");
  stream.addEventListener("open", () => { heard(); soon(); });
  stream.addEventListener("beat", heard);
  stream.addEventListener("cycle", () => { heard(); soon(); });
  stream.addEventListener("night", () => { heard(); soon(); });
  stream.addEventListener("error", lost);
}

// A browser has few connections to one address: a tab that nobody sees gives its own back.
document.addEventListener("visibilitychange", () => {
  stream?.close();
  if (!document.hidden) listen();
});
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// What has just been asked for is shown once, and for a while.
setTimeout(() => document.querySelector("main > .done")?.remove(), DONE_MS);
if (location.search.includes("done=")) history.replaceState(null, "", location.pathname + location.hash);
if (!document.hidden) listen();
setInterval(tick, 1000);
