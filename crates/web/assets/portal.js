// What pages gain with a script: live parts, times in the reader's zone, and a search on "/".
// Every page works without it. One event stream per browser: tabs elect a leader, which tells the others.
"use strict";
(() => {
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("fragments", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  const parse = (html) => {
    const box = document.createElement("template");
    box.innerHTML = policy.createHTML(html);
    return box.content;
  };
  const $ = (id) => document.getElementById(id);

  // ---- times -------------------------------------------------------------
  let full;
  try { full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", timeZone: document.body.dataset.zone }); }
  catch { full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }); }
  const ago = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 120) return `${s} s ago`;
    if (s < 7200) return `${Math.floor(s / 60)} min ago`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ago`;
    return `${Math.floor(s / 86400)} d ago`;
  };
  const times = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      if (!time.title || time.dataset.ago === undefined) time.title = time.dateTime;
      const text = time.dataset.ago === undefined ? full.format(at) : ago(Date.now() - at);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // ---- parts that change ---------------------------------------------------
  // A part is left alone while somebody types in it or marks text in it; what is open stays open.
  const busy = (old) => {
    const active = document.activeElement;
    if (active && old.contains(active) && active.matches("input, textarea, select, button")) return true;
    const marked = document.getSelection();
    return marked && !marked.isCollapsed && old.contains(marked.anchorNode);
  };
  const keep = (old, fresh) => {
    const was = old.querySelectorAll("details");
    fresh.querySelectorAll("details").forEach((details, i) => { details.open = Boolean(was[i]?.open); });
    const typed = old.querySelectorAll("input:not([type=hidden])");
    fresh.querySelectorAll("input:not([type=hidden])").forEach((input, i) => { if (typed[i]?.value) input.value = typed[i].value; });
  };
  const late = new Map();
  const put = (fresh) => {
    const old = $(fresh.id);
    if (!old) return;
    if (busy(old)) { late.set(fresh.id, fresh); return; }
    late.delete(fresh.id);
    if (old.isEqualNode(fresh)) return;
    keep(old, fresh);
    const tops = [...old.querySelectorAll("[role=log], .scroll")].map((e) => [e.scrollTop, e.scrollLeft]);
    times(fresh);
    old.replaceWith(fresh);
    fresh.querySelectorAll("[role=log], .scroll").forEach((e, i) => { if (tops[i]) [e.scrollTop, e.scrollLeft] = tops[i]; });
  };
  const show = (html) => { for (const part of [...parse(html).children]) if (part.id) put(part); };
  setInterval(() => { for (const part of [...late.values()]) put(part); times(document); }, 2000);

  // The whole page again, where no fragments are sent.
  let reloading = false;
  const again = async () => {
    if (reloading || paused) return;
    reloading = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected || !answer.ok) return;
      const page = parse(await answer.text());
      for (const part of document.querySelectorAll("main [id]")) {
        const fresh = page.querySelector(`main #${CSS.escape(part.id)}`);
        if (fresh && part.isConnected && !part.parentElement.closest("main [id]:not(main)")) put(fresh);
      }
    } catch { /* the next try comes by itself */ } finally { reloading = false; }
  };

  // ---- the stream ----------------------------------------------------------
  const topic = document.body.dataset.topic;
  let paused = false;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("pointsman") : null;
  const take = ({ kind, about, html }) => {
    if (about !== topic || paused) return;
    if (kind === "fragments") show(html);
    if (kind === "changed") again();
  };
  const wanted = new Map(); // topic -> when a tab last asked for it
  let source = null, opened = "", leader = false, failures = 0, poll = 0;
  const tell = (message) => { take(message); tabs?.postMessage(message); };

  const close = () => { source?.close(); source = null; opened = ""; };
  const open = () => {
    const fresh = [...wanted].filter(([, at]) => Date.now() - at < 25000).map(([name]) => name).sort();
    const query = new URLSearchParams(fresh.slice(-12).map((name) => ["topic", name])).toString();
    if (!fresh.length) { close(); return; }
    if (source && query === opened) return;
    close();
    opened = query;
    source = new EventSource(`/live?${query}`);
    source.addEventListener("hello", () => { failures = 0; clearInterval(poll); poll = 0; });
    source.addEventListener("fragments", ({ data }) => {
      const end = data.indexOf("\n");
      tell({ kind: "fragments", about: data.slice(0, end), html: data.slice(end + 1) });
    });
    source.addEventListener("changed", ({ data }) => tell({ kind: "changed", about: data }));
    source.onerror = () => {
      failures += 1;
      if (source?.readyState === EventSource.CLOSED || failures > 5) {
        close();
        if (!poll) poll = setInterval(() => { for (const about of wanted.keys()) tell({ kind: "changed", about }); }, 5000);
        setTimeout(() => { if (leader) open(); }, 5000 + Math.random() * 5000);
      }
    };
  };
  const lead = () => { leader = true; ask(); open(); setInterval(open, 5000); return new Promise(() => {}); };
  const ask = () => {
    if (!topic || document.hidden && hiddenFor() > 30000) return;
    wanted.set(topic, Date.now());
    tabs?.postMessage({ kind: "ask", about: topic });
  };
  let hiddenAt = 0;
  const hiddenFor = () => (hiddenAt ? Date.now() - hiddenAt : 0);
  tabs?.addEventListener("message", ({ data }) => {
    if (data.kind !== "ask") { take(data); return; }
    wanted.set(data.about, Date.now());
    if (leader) open();
  });
  document.addEventListener("visibilitychange", () => {
    hiddenAt = document.hidden ? Date.now() : 0;
    if (!document.hidden && topic) { ask(); again(); }
  });
  ask();
  setInterval(ask, 8000);
  if (navigator.locks && tabs) navigator.locks.request("pointsman-stream", lead); else lead();

  // Live pages can be held still.
  const hold = $("hold");
  if (hold && topic) {
    hold.hidden = false;
    hold.addEventListener("click", () => {
      paused = !paused;
      hold.textContent = paused ? "Show updates" : "Hold updates";
      hold.setAttribute("aria-pressed", String(paused));
      if (!paused) again();
    });
  }

  // ---- search --------------------------------------------------------------
  const palette = $("palette");
  if (palette) {
    const input = palette.querySelector("input");
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select, [contenteditable]");
      const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey;
      const k = event.key === "k" && (event.ctrlKey || event.metaKey);
      if (!slash && !k) return;
      event.preventDefault();
      if (!palette.open) palette.showModal();
      input.select();
    });
    let asked = 0;
    const find = async () => {
      const mine = ++asked;
      const answer = await fetch(`/search?part=1&q=${encodeURIComponent(input.value)}`);
      if (!answer.ok || mine !== asked) return;
      $("found").replaceChildren(parse(await answer.text()));
    };
    let timer = 0;
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, 120); });
    palette.addEventListener("keydown", (event) => {
      const links = [...palette.querySelectorAll(".hits a")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !links.length) return;
      event.preventDefault();
      const at = links.indexOf(document.activeElement);
      (links[at + step] ?? input).focus();
    });
    palette.addEventListener("submit", (event) => {
      const first = palette.querySelector(".hits a");
      if (first && input.value.trim()) { event.preventDefault(); location.href = first.href; }
    });
  }

  // A form is sent once.
  document.addEventListener("submit", ({ target }) => {
    if (target.method !== "post") return;
    setTimeout(() => { for (const button of target.querySelectorAll("button")) button.disabled = true; });
  });
  addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
  times(document);
})();
