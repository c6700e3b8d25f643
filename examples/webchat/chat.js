// The visitor's side. Texts are set as text, never as HTML; nothing is loaded from elsewhere.
"use strict";

const talk = document.getElementById("talk");
const form = document.getElementById("form");
const text = document.getElementById("text");
const status = document.getElementById("status");
const NAMES = { visitor: "You", shop: "Teahouse" };

function visitor() {
  let name = localStorage.getItem("visitor");
  if (!name) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
    localStorage.setItem("visitor", name);
  }
  return name;
}

function show(message) {
  const item = document.createElement("li");
  item.className = message.by;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = `${NAMES[message.by]}, ${new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
  const words = document.createElement("p");
  words.dir = "auto";
  words.textContent = message.text;
  item.append(who, words);
  talk.append(item);
  talk.scrollTop = talk.scrollHeight;
}

async function refresh() {
  try {
    const answer = await fetch("/chat/messages", { headers: { "X-Visitor": visitor() } });
    const messages = await answer.json();
    messages.slice(talk.children.length).forEach(show);
    status.textContent = "";
  } catch {
    status.textContent = "We cannot reach the shop now. We go on trying.";
  }
}

async function send(event) {
  event.preventDefault();
  if (!text.value.trim()) return;
  const body = JSON.stringify({ text: text.value });
  try {
    const answer = await fetch("/chat/messages", { method: "POST", headers: { "X-Visitor": visitor(), "Content-Type": "application/json" }, body });
    if (!answer.ok) throw new Error((await answer.json()).error);
    text.value = "";
    await refresh();
  } catch (error) {
    status.textContent = `That was not sent: ${error.message || "no connection"}. Please try again.`;
  }
  text.focus();
}

form.addEventListener("submit", send);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
refresh();
setInterval(refresh, 1500);
