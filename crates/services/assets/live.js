// What htmx does not do: tell when the stream is silent, keep the title, find, move by keys.
// Without this file the pages are complete, only not live.
"use strict";
(() => {
  const SILENT_AFTER = 3500; // three ticks of one second, and some
  let last = performance.now();

  const alive = () => { last = performance.now(); };
  for (const name of ["tick", "htmx:sse:after:message", "htmx:sse:after:connection"]) {
    document.addEventListener(name, alive);
  }

  // A page that was in the background was not listening: that is no silence of the node.
  let hidden = false;
  document.addEventListener("visibilitychange", () => {
    hidden = document.hidden;
    if (!hidden) alive();
  });

  const spell = (seconds) =>
    seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;

  const lost = document.getElementById("lost");
  const pulse = document.getElementById("pulse");
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  const look = () => {
    if (hidden) return;
    const silence = performance.now() - last;
    const isLost = silence > SILENT_AFTER;
    document.documentElement.classList.toggle("lost", isLost);
    lost.hidden = !isLost;
    if (isLost) {
      const age = spell(Math.floor(silence / 1000));
      put(lost, `? The dashboard has been silent for ${age}. Everything below is that old.`);
      document.title = `? silent for ${age}`;
    } else {
      put(lost, "");
      const state = document.getElementById("state");
      const place = document.title.split(" · ").pop();
      if (state) {
        const title = `${state.dataset.title} · ${place.startsWith("?") ? "overview" : place}`;
        if (document.title !== title) document.title = title;
      }
    }
    const isOld = document.querySelector("#state.stale") !== null;
    document.documentElement.classList.toggle("old", isOld);
    put(pulse, isLost ? "not live" : isOld ? "stale" : "live");
  };
  setInterval(look, 500);
  document.addEventListener("htmx:after:swap", () => { look(); sift(); });

  // Find: rows whose name does not hold the text step back.
  const find = document.getElementById("find");
  const sift = () => {
    const text = find.value.trim().toLowerCase();
    for (const row of document.querySelectorAll("[data-find]")) {
      row.classList.toggle("sifted", text !== "" && !row.dataset.find.toLowerCase().includes(text));
    }
  };
  find.hidden = false;
  find.addEventListener("input", sift);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { find.value = ""; sift(); find.blur(); }
    if (event.key === "Enter") {
      const row = document.querySelector("[data-find]:not(.sifted)");
      const link = row && (row.matches("a") ? row : row.querySelector("a"));
      if (link) location.href = link.href;
    }
  });

  // Keys of those who do not want the mouse.
  const step = (by) => {
    const links = [...document.querySelectorAll("#state a, main a")].filter((link) => link.getClientRects().length);
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
    links[next].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input")) return;
    const keys = {
      "/": () => find.focus(),
      j: () => step(1),
      k: () => step(-1),
      o: () => { location.href = "/"; },
      c: () => { location.href = "/cluster"; },
      e: () => { location.href = "/events"; },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  look();
})();
