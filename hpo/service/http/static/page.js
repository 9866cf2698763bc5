"use strict";
// Puts rows that the server made into their places, as they change.

const POLL_MS = 5000;
const list = document.getElementById("studies");
const filter = document.getElementById("filter");

function say(id, text) {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
}

function show(row) {
  const wanted = filter.value.trim().toLowerCase();
  const told = row.querySelector("h2").textContent + " " + row.querySelector(".badge").textContent;
  row.hidden = !told.toLowerCase().includes(wanted);
}

function apply(update) {
  const focused = document.activeElement && document.activeElement.id;
  const made = document.createElement("template");
  made.innerHTML = update.rows;
  for (const row of [...made.content.children]) {
    const old = document.getElementById(row.id);
    if (old) old.replaceWith(row);
    else list.append(row);
    show(row);
  }
  const kept = new Set(update.order);
  for (const row of [...list.children]) if (!kept.has(row.id)) row.remove();
  update.order.forEach((id, index) => {
    const row = document.getElementById(id);
    if (row && list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
  });
  if (focused && document.activeElement.id !== focused) {
    const again = document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }
  document.getElementById("empty").hidden = update.order.length > 0;
  say("summary", update.summary);
}

async function poll() {
  try {
    const answer = await fetch("/page/update", { credentials: "same-origin" });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    apply(await answer.json());
    say("connection", `updated every ${POLL_MS / 1000} seconds`);
  } catch {
    say("connection", "the service does not answer");
  }
  setTimeout(poll, POLL_MS);
}

function listen() {
  const events = new EventSource("/page/events?known=" + list.dataset.version);
  events.addEventListener("open", () => say("connection", "live"));
  events.addEventListener("update", (event) => {
    say("connection", "live");
    apply(JSON.parse(event.data));
  });
  events.addEventListener("problem", (event) => say("connection", JSON.parse(event.data).detail));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) poll();
    else say("connection", "the service does not answer: trying again");
  });
}

filter.addEventListener("input", () => [...list.children].forEach(show));
if (window.EventSource) listen();
else poll();
