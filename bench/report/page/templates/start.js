// What happens when the page opens?

// What scrolls sideways has to be reached by keyboard; what does not is no stop on the way.
function reachPlates() {
  for (const plate of all(".plate.broad")) {
    const scrolls = plate.scrollWidth > plate.clientWidth;
    const attributes = { tabindex: "0", role: "group", "aria-label": one("strong", plate.parentElement).textContent };
    for (const [name, value] of Object.entries(attributes)) scrolls ? plate.setAttribute(name, value) : plate.removeAttribute(name);
  }
}

for (const controls of all(".controls")) controls.hidden = false;
for (const excuse of all(".plain")) excuse.hidden = true;
document.documentElement.classList.add("script");
startTable();
startCopying();
startTips();
reachPlates();
addEventListener("resize", reachPlates);
startComparison();
