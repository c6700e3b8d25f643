// The staff's side: every conversation, and a box to answer in. The key stands after `#`.
"use strict";

const talks = document.getElementById("talks");
const card = document.getElementById("card");
const status = document.getElementById("status");
const headers = { "X-Staff-Key": location.hash.slice(1), "Content-Type": "application/json" };
const NAMES = { inbound: "Customer", outbound: "Us", note: "Note" };

async function ask(path, options) {
  const answer = await fetch(path, { headers, ...options });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

function cardOf(talk) {
  const id = `talk-${talk.customer}`;
  let found = document.getElementById(id);
  if (!found) {
    found = card.content.firstElementChild.cloneNode(true);
    found.id = id;
    found.querySelector("form").addEventListener("submit", (event) => answer(event, found.dataset.talk));
    talks.append(found);
  }
  found.dataset.talk = talk.id;
  return found;
}

function show(talk) {
  const shown = cardOf(talk);
  const waits = talk.unanswered ? ", waits for an answer" : "";
  shown.querySelector("h2").textContent = `Visitor ${talk.customer.slice(0, 6)}: ${talk.state}${waits}`;
  const list = shown.querySelector("ol");
  list.setAttribute("aria-label", `Conversation with visitor ${talk.customer.slice(0, 6)}`);
  talk.messages.slice(list.children.length).forEach((message) => {
    const item = document.createElement("li");
    item.className = message.by === "outbound" ? "visitor" : "shop";
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = NAMES[message.by];
    const words = document.createElement("p");
    words.dir = "auto";
    words.textContent = message.text;
    item.append(who, words);
    list.append(item);
    list.scrollTop = list.scrollHeight;
  });
}

async function refresh() {
  try {
    const found = await ask("/staff/talks");
    found.forEach(show);
    status.textContent = found.length ? "" : "Nobody has written yet.";
  } catch (error) {
    status.textContent = error.message;
  }
}

async function answer(event, conversation) {
  event.preventDefault();
  const form = event.target;
  const text = form.querySelector("textarea");
  const steps = form.querySelector("select").value.split(",").filter(Boolean);
  try {
    await ask("/staff/answers", { method: "POST", body: JSON.stringify({ conversation, text: text.value, steps }) });
    text.value = "";
    await refresh();
  } catch (error) {
    status.textContent = error.message;
  }
  text.focus();
}

refresh();
setInterval(refresh, 2000);
