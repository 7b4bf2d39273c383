// The page follows monitord: with each cycle that ends it is read again, and the parts that have changed are put in place.
// Without this script the page is whole, and asks again by itself.

const QUIET_MS = 2000;
const LOST_MS = 50000;
const DONE_MS = 15000;
const AGAIN_MS = 10000;
const BROKEN_MS = 5000;
// Between two ticks of a second no more than this passes, but where the machine or the tab has slept.
const SLEPT_MS = 10000;

let heardAt = Date.now();
let fetchedAt = Date.now();
let tickedAt = Date.now();
let triedAt = Date.now();
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
  const name = (details) => details.id || details.closest("[id]")?.id + details.querySelector("summary").textContent;
  return new Map([...part.querySelectorAll("details")].map((details) => [name(details), details]));
}

// Sections are folded where there is little room.
function unfold(root) {
  if (!matchMedia("(min-width: 48.01rem)").matches) return;
  for (const details of root.querySelectorAll("details.roomy")) details.open = true;
}

// Each part as monitord sent it: what was unfolded here since is no news.
const sent = new Map([...parts(document)].map(([id, part]) => [id, part.innerHTML]));

function put(old, fresh) {
  const html = fresh.innerHTML;
  if ((sent.get(old.id) ?? old.innerHTML) === html) return;
  sent.set(old.id, html);
  const before = foldable(old);
  const was = place(old);
  old.replaceChildren(...fresh.childNodes);
  unfold(old);
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
      renewed();
      tick();
    } else lost(`it answers with ${answer.status}`);
  } catch {
    lost();
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
// As of when the page is what it shows.
let renewedAt = Date.now();

function tick() {
  const now = Date.now();
  const slept = now - tickedAt > SLEPT_MS;
  tickedAt = now;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = Math.max(0, Math.round((now - ahead - Date.parse(time.dateTime)) / 1000));
    const told = `${duration(seconds)} ago`;
    if (time.textContent !== told) time.textContent = told;
  }
  if (document.hidden) return;
  if (slept) wake();
  else if (now - heardAt > LOST_MS || stream?.readyState === EventSource.CLOSED) {
    if (now - heardAt > LOST_MS) lost();
    if (now - triedAt > AGAIN_MS) {
      // A stream that is refused or silent does not come again by itself; the page may be there all the same.
      listen();
      soon();
    }
  }
}

// What is heard says that monitord is there; that the page is of now, only a page that was read since.
function heard() {
  heardAt = Date.now();
}

function renewed() {
  renewedAt = Date.now();
  const stale = document.getElementById("stale");
  if (!stale.hidden) {
    stale.hidden = true;
    stale.textContent = "";
  }
}

function told(words) {
  const stale = document.getElementById("stale");
  if (stale.textContent !== words) stale.textContent = words;
  stale.hidden = false;
}

function clock(at) {
  return `${new Date(at - ahead).toISOString().slice(11, 19)} UTC`;
}

function lost(why = "monitord does not answer") {
  told(`Nothing new since ${clock(renewedAt)}: ${why}. What you see is of then.`);
}

// After a sleep the page is of before, and says so until it is read again.
function wake() {
  if (Date.now() - renewedAt > SLEPT_MS) told(`What you see is of ${clock(renewedAt)}: it is being read again.`);
  listen();
  soon();
}

let stream = null;

// A stream that only ended, as each does after an hour, is opened again by the browser; one that stays away is lost.
function broken() {
  const [at, own] = [heardAt, stream];
  const away = () => { if (heardAt === at && stream === own) lost(); };
  if (stream.readyState === EventSource.CLOSED) away();
  else setTimeout(away, BROKEN_MS);
}

function listen() {
  stream?.close();
  triedAt = Date.now();
  stream = new EventSource("/events");
  stream.addEventListener("open", () => { heard(); soon(); });
  stream.addEventListener("beat", heard);
  stream.addEventListener("cycle", () => { heard(); soon(); });
  stream.addEventListener("report", () => { heard(); soon(); });
  stream.addEventListener("error", broken);
}

// A browser has few connections to one address: a tab that nobody sees gives its own back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream?.close();
  else wake();
});
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  told(`What you see is of ${clock(renewedAt)}: it is being read again.`);
  location.reload();
});

// The value of a plot at one of its points, under the pointer or by the keyboard: arrows, Home and End go along it.

const value = document.body.appendChild(document.createElement("div"));
value.className = "value";
value.hidden = true;
let read = null;

function points(plot) {
  if (plot.dataset.points) {
    return plot.dataset.points.split("|").map((one) => {
      const [, at, words] = /^(\S+) (.*)$/s.exec(one) ?? [];
      return { at: Number(at), words };
    });
  }
  return [...plot.children].map((one, at) => ({ at, words: one.title }));
}

function show(plot, index, left) {
  const found = points(plot);
  const span = Number(plot.dataset.span ?? found.length);
  const at = found[index].at;
  const box = plot.getBoundingClientRect();
  const { since } = plot.dataset;
  const when = since === undefined ? "" : `${new Date((Number(since) + at) * 1000).toISOString().slice(11, 16)} UTC: `;
  read = { plot, index };
  value.textContent = when + found[index].words;
  value.hidden = false;
  const x = left ?? box.left + (Math.max(0, at) / span) * box.width;
  const room = document.documentElement.clientWidth - value.offsetWidth - 4;
  value.style.left = `${scrollX + Math.max(4, Math.min(x - value.offsetWidth / 2, room))}px`;
  // Over a tile's plot stands what the tile says: there it comes under it.
  const y = plot.closest(".tile") ? box.bottom + 4 : box.top - value.offsetHeight - 4;
  value.style.top = `${scrollY + y}px`;
}

function forget() {
  read = null;
  value.hidden = true;
}

const PLOTS = "[data-points], .labels";
const plotOf = (target) => target.closest?.(PLOTS) ?? target.closest?.(".tile")?.querySelector("[data-points]") ?? null;

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(PLOTS);
  if (!plot) {
    if (read && !read.plot.contains(document.activeElement) && plotOf(document.activeElement) !== read.plot) forget();
    return;
  }
  const box = plot.getBoundingClientRect();
  const found = points(plot);
  const at = ((event.clientX - box.left) / box.width) * Number(plot.dataset.span ?? found.length);
  if (plot.dataset.points) show(plot, Math.max(0, found.findLastIndex((one) => one.at <= at)), event.clientX);
  else {
    const item = [...plot.children].findIndex((one) => one.contains(event.target));
    if (item >= 0) show(plot, item, event.clientX);
  }
});
document.addEventListener("focusin", (event) => {
  const plot = event.target.matches(":focus-visible") ? plotOf(event.target) : null;
  if (plot) show(plot, points(plot).length - 1);
  else forget();
});
document.addEventListener("focusout", forget);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return forget();
  const plot = plotOf(document.activeElement);
  if (!plot || read?.plot !== plot) return;
  const last = points(plot).length - 1;
  const next = { ArrowLeft: read.index - 1, ArrowRight: read.index + 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  show(plot, Math.max(0, Math.min(last, next)));
});

// A tile without a page of its own leads to its table.
function follow() {
  const details = location.hash && document.getElementById(location.hash.slice(1))?.querySelector("details.fold");
  if (details) details.open = true;
}

addEventListener("hashchange", follow);
unfold(document);
follow();

// What has just been asked for is shown once, and for a while.
setTimeout(() => document.querySelector("main > .done")?.remove(), DONE_MS);
const asked = new URL(location.href);
if (asked.searchParams.has("done")) {
  asked.searchParams.delete("done");
  history.replaceState(null, "", asked);
}
if (!document.hidden) listen();
setInterval(tick, 1000);
