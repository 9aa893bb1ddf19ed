"use strict";
// What pages are better with, and work without: moments in the reader's own time, one submission for one press.
const inOwnTime = (root) => {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const two = (n) => String(n).padStart(2, "0");
    time.textContent =
      `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }
};
inOwnTime(document);
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});
// A page that comes back from the browser's memory may be sent again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form[data-sent]").forEach((form) => form.removeAttribute("data-sent"));
});
// Where the menu is a strip, the page one is on is in sight.
const here = document.querySelector(".menu [aria-current]");
const strip = here && here.closest(".menu");
if (strip && strip.scrollWidth > strip.clientWidth) strip.scrollLeft = here.offsetLeft - 16;
// The part of a page that moves is sent anew as it changes. Without this the page offers to load itself again.
for (const part of document.querySelectorAll("[data-live]")) {
  if (!window.EventSource) continue;
  const said = document.querySelector("[data-live-state]");
  const state = () => (part.querySelector("[data-state]") || part).textContent.trim();
  let before = state();
  const source = new EventSource(location.pathname);
  source.addEventListener("part", (event) => {
    part.innerHTML = event.data;
    inOwnTime(part);
    if (said && state() !== before) said.textContent = before = state();
  });
  source.addEventListener("end", () => {
    source.close();
    location.replace(location.pathname);
  });
  source.addEventListener("gone", () => source.close());
}
