"use strict";
// The page asks the server for names and answers; what answers say is made by perfmodel's pages.
const byId = (id) => document.getElementById(id);
const form = byId("form"), devices = [];
let drop = "", dropped = "", asking = null, waiting = 0;

async function ask(path, options) {
  const reply = await fetch(path, options);
  const type = reply.headers.get("content-type") || "";
  if (!type.startsWith("application/json")) throw { error: (await reply.text()).slice(0, 500) };
  const told = await reply.json();
  if (told.error !== undefined) throw told;
  return told;
}

function problem(told) {
  const box = byId("problem");
  box.replaceChildren();
  if (!told) return;
  if (told instanceof TypeError)
    told = { error: "perfmodel ui does not answer: it was ended", hint: "start it again" };
  for (const words of [told.error || String(told), told.hint])
    if (words) box.append(Object.assign(document.createElement("p"), { textContent: words }));
}

// ------------------------------------------------------------------ the question
const view = () => form.elements.view.value;
const visible = (e) => !e.closest("[data-for]") ||
  e.closest("[data-for]").dataset.for.split(" ").includes(view());

function query() {
  const asked = new URLSearchParams({ view: view() });
  for (const e of form.elements) {
    if (!e.name || e.name === "view" || !e.value.trim() || !visible(e)) continue;
    if (e.type === "checkbox" && !e.checked) continue;
    asked.append(e.name, e.value.trim());
  }
  if (view() !== "minimum-phone") for (const name of devices) asked.append("on", name);
  if (drop && form.elements.model.value.split("@")[0] === dropped) asked.append("drop", drop);
  return asked;
}

function soon(delay = 250) { clearTimeout(waiting); waiting = setTimeout(answer, delay); }

function show() {
  for (const e of document.querySelectorAll("[data-for]")) e.hidden = !visible(e);
}

async function answer() {
  problem(null);
  const asked = query(), answers = byId("answers"), status = byId("status");
  const missing = !asked.has("model") ? "Choose a network."
    : view() !== "minimum-phone" && !devices.length ? "Choose a phone or a board." : "";
  if (asking) asking.abort();
  if (missing) { status.textContent = missing; answers.replaceChildren(); return; }
  const mine = asking = new AbortController();
  answers.setAttribute("aria-busy", "true");
  status.textContent = "Working ...";
  try {
    const told = await ask("answer?" + asked, { signal: mine.signal });
    if (mine !== asking) return;
    answers.innerHTML = told.html;
    for (const a of answers.querySelectorAll("a[data-part]"))
      a.href = "report?" + asked + "&part=" + a.dataset.part;
    status.textContent = ["Answered.", ...told.notices].join(" ");
    share();
  } catch (told) {
    if (mine !== asking || told.name === "AbortError") return;
    answers.replaceChildren();
    status.textContent = "";
    problem(told);
  } finally {
    if (mine === asking) answers.removeAttribute("aria-busy");
  }
}

// ------------------------------------------------------------------ names while typing
function combobox(input, of, chosen) {
  const list = byId(input.getAttribute("aria-controls"));
  let names = [], at = -1, last = 0;
  const close = () => { list.hidden = true; at = -1; input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant"); };
  const take = (name) => { ++last; close(); chosen(name); };
  const mark = (to) => {
    at = names.length ? (to + names.length) % names.length : -1;
    [...list.children].forEach((e, i) => e.setAttribute("aria-selected", i === at));
    if (at < 0) return;
    list.children[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", list.children[at].id);
  };
  const offer = async () => {
    const mine = ++last;
    const told = await ask("suggest?" + new URLSearchParams({ of, text: input.value }));
    if (mine !== last || document.activeElement !== input) return;
    names = told.names;
    list.replaceChildren(...names.map((name, i) => {
      const e = Object.assign(document.createElement("li"), { textContent: name });
      e.id = list.id + "-" + i;
      e.setAttribute("role", "option");
      e.addEventListener("pointerdown", (event) => { event.preventDefault(); take(name); });
      return e;
    }));
    at = -1;
    list.hidden = !names.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
  };
  // names for what stood there before are none to choose from
  input.addEventListener("input", () => { close(); offer().catch(problem); });
  input.addEventListener("blur", () => { ++last; close(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden) offer().catch(problem);
    else if (event.key === "ArrowDown") mark(at + 1);
    else if (event.key === "ArrowUp") mark(at < 0 ? -1 : at - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter") take(at >= 0 ? names[at] : input.value.trim());
    else return;
    event.preventDefault();
  });
}

function chips() {
  byId("devices").replaceChildren(...devices.map((name, i) => {
    const e = document.createElement("li"), b = document.createElement("button");
    b.type = "button";
    b.textContent = name + " ×";
    b.setAttribute("aria-label", "Remove " + name);
    b.addEventListener("click", () => { devices.splice(i, 1); chips(); byId("on").focus(); soon(0); });
    e.append(b);
    return e;
  }));
}

combobox(byId("model"), "model", (name) => { byId("model").value = name; soon(0); });
combobox(byId("server"), "on", (name) => { byId("server").value = name; soon(0); });
combobox(byId("on"), "on", (name) => {
  if (name && !devices.includes(name)) devices.push(name);
  byId("on").value = "";
  chips();
  soon(0);
});

// ------------------------------------------------------------------ files
async function keep(files) {
  if (!files.length) return;
  problem(null);
  byId("status").textContent = "Reading " + [...files].map((f) => f.name).join(", ") + " ...";
  try {
    let mine = "";
    for (const file of files) {
      const told = await ask("files?" + new URLSearchParams({ name: file.name, drop: mine }),
        { method: "POST", body: file });
      mine = told.drop;
    }
    const network = [...files].find((f) => !/\.(bin|data|caffemodel)$/i.test(f.name)) || files[0];
    drop = mine;
    byId("model").value = dropped = network.name;
    await answer();
  } catch (told) {
    byId("status").textContent = "";
    problem(told);
  }
}
byId("file").addEventListener("change", (event) => keep(event.target.files));
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", name === "dragover");
    if (name === "drop") keep(event.dataTransfer.files);
  });

// ------------------------------------------------------------------ the slider: 1 ms to 10 s
const slider = byId("slider"), limit = byId("limit");
const place = () => { slider.value = 250 * Math.log10(Math.max(Number(limit.value) || 1, 1)); };
function share() {
  slider.setAttribute("aria-valuetext", limit.value + " ms");
  const held = byId("curve"), said = byId("share");
  if (!held) { said.textContent = ""; return; }
  let part = 0;
  for (const [ms, reached] of JSON.parse(held.dataset.curve))
    if (ms <= Number(limit.value)) part = reached;
  said.textContent = (100 * part).toFixed(1) + " % of phones keep " + limit.value + " ms";
}
slider.addEventListener("input", () => {
  limit.value = Number((10 ** (slider.value / 250)).toPrecision(2));
  share();
});
limit.addEventListener("input", () => { place(); share(); });
place();

// ------------------------------------------------------------------ the rest
form.addEventListener("change", (event) => {
  show();
  if (event.target.type !== "file") soon();
});
form.addEventListener("submit", (event) => { event.preventDefault(); soon(0); });
byId("answers").addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const line = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(line.textContent);
    byId("status").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(line);
    byId("status").textContent = "Selected: copy it with the keyboard.";
  }
});
show();
answer();
