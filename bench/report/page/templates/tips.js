// How does a heading say what it means? In a box with the legend's sentence, while the pointer is over it or the keyboard on it.

let leaving;
let shownBy;

function showTip(button) {
  clearTimeout(leaving);
  shownBy = button;
  one("#tip").textContent = document.getElementById(button.getAttribute("aria-describedby")).textContent;
  one("#tip").hidden = false;
  placeTip();
}

function placeTip() {
  const tip = one("#tip");
  if (tip.hidden) return;
  const place = shownBy.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${place.bottom + 6}px`;
}

function hideTip() {
  clearTimeout(leaving);
  one("#tip").hidden = true;
}

// The pointer may move from the heading onto the box, to read it enlarged.
function leave() {
  leaving = setTimeout(hideTip, 200);
}

function startTips() {
  for (const button of all("button[aria-describedby]")) {
    button.addEventListener("pointerenter", () => showTip(button));
    button.addEventListener("pointerleave", leave);
    button.addEventListener("focus", () => { if (button.matches(":focus-visible")) showTip(button); });
    button.addEventListener("blur", hideTip);
  }
  one("#tip").addEventListener("pointerenter", () => clearTimeout(leaving));
  one("#tip").addEventListener("pointerleave", leave);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  addEventListener("scroll", placeTip, { capture: true, passive: true });  // the table too scrolls, to a heading that gets the focus
}
