"use strict";
// Keeps the page current: the server says when something changed, and the same page is asked for
// again. Without this script the page is complete, and as old as its last loading.
(() => {
  const PARTS = ["state", "chips", "devices", "rotations", "remedies", "problems", "ends", "map", "target"];
  const QUIET_MS = 30000; // longer than the server ever says nothing
  const AGAIN_MS = 15000;
  let source = null;
  let heardAt = 0;
  let asking = false;
  let askAgain = false;

  const byId = (id) => document.getElementById(id);
  const serverNow = byId("now");
  if (!serverNow) return;
  let ahead = Date.parse(serverNow.dateTime) - Date.now();

  const short = (seconds) => {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
    return `${Math.round(seconds / 86400)} days`;
  };

  function tellAges() {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-age]")) {
      const age = (now - Date.parse(time.dateTime)) / 1000;
      const text = age < -1 ? `${short(-age)} ahead of this clock` : `${short(Math.max(age, 0))} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
    const isLost = Date.now() - heardAt > QUIET_MS;
    document.body.classList.toggle("stale-page", isLost);
    const link = byId("link");
    const text = isLost ? `No answer for ${short((Date.now() - heardAt) / 1000)}.` : "Live.";
    if (link.textContent !== text) link.textContent = text;
    link.className = isLost ? "link lost" : "link live";
  }

  function take(fresh) {
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    for (const id of PARTS) {
      const old = byId(id);
      const now = fresh.getElementById(id);
      if (!old || !now || old.outerHTML === now.outerHTML) continue;
      if (id === "state") {
        // The element that is read out stays: only a change of its text is to be heard
        const sentence = byId("sentence");
        const text = fresh.getElementById("sentence").textContent;
        if (sentence.textContent !== text) sentence.textContent = text;
        old.className = now.className;
        const [before, after] = [old.querySelector(".further"), now.querySelector(".further")];
        if (before) before.remove();
        if (after) old.append(document.importNode(after, true));
      } else {
        const scrolled = [...old.querySelectorAll(".wide")].map((one) => one.scrollLeft);
        const next = document.importNode(now, true);
        old.replaceWith(next);
        next.querySelectorAll(".wide").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
      }
    }
    if (focused && document.activeElement === document.body) {
      const again = document.querySelector(`a[href="${CSS.escape(focused)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
    document.title = fresh.title;
    const icon = fresh.getElementById("icon");
    if (icon && byId("icon")) byId("icon").href = icon.getAttribute("href");
    const asof = fresh.getElementById("now");
    if (asof) {
      ahead = Date.parse(asof.dateTime) - Date.now();
      serverNow.dateTime = asof.dateTime;
      serverNow.textContent = asof.textContent;
    }
    heardAt = Date.now();
    tellAges();
  }

  async function ask() {
    if (asking) { askAgain = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // told by the age of what is shown
    } finally {
      asking = false;
      if (askAgain) { askAgain = false; ask(); }
    }
  }

  function listen() {
    // A hidden page holds no stream: a browser has few connections to one server
    if (document.hidden) {
      if (source) source.close();
      source = null;
      return;
    }
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource(document.body.dataset.events);
    source.addEventListener("changed", ask);
  }

  heardAt = Date.now();
  tellAges();
  listen();
  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) ask(); });
  setInterval(tellAges, 1000);
  setInterval(() => {
    listen();
    // No place in the stream, or it is silent: ask all the same
    if (!document.hidden && Date.now() - heardAt > AGAIN_MS) ask();
  }, AGAIN_MS);
})();
