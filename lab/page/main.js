// SPDX-License-Identifier: MIT
// The page: its head, light and dark, and which view the address asks for.
const overview = document.getElementById("overview");
const cellView = document.getElementById("cell");
const dark = matchMedia("(prefers-color-scheme: dark)");
const left = { href: null, y: 0 }; // where the overview was left

function showHead() {
	const names = kernels.map(kernel => kernel.name).join(" and ");
	const judged = kernel => Object.entries({ holds: "hold", partly: "hold partly", fails: "fail" })
		.map(([verdict, words]) => `${kernel.claims.filter(claim => claim.verdict === verdict).length} ${words}`).join(", ");
	document.title = `Lastbyte lab: ${names}`;
	document.querySelector("h1").textContent = `How connections end on ${names}`;
	document.getElementById("summary").textContent = `${plural(ids.length, "cell")} over ${plural(played.length, "link")}. `
		+ kernels.map(kernel => `Claims${kernels.length > 1 ? ` on ${kernel.name}` : ""}: ${judged(kernel)}.`).join(" ");
}

function showTheme(theme) {
	const button = document.getElementById("theme");
	document.documentElement.dataset.theme = theme;
	button.textContent = theme === "dark" ? "☀ Light" : "☾ Dark";
	button.setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours");
	button.onclick = () => showTheme(theme === "dark" ? "light" : "dark");
}

function wanted() {
	try {
		return location.hash.slice(1).split("/").map(decodeURIComponent).join("/");
	} catch {
		return location.hash.slice(1);
	}
}

function route() {
	const id = wanted(), found = ids.includes(id), notice = document.getElementById("notice");
	const came = overview.hidden;
	tip.hidden = true;
	overview.hidden = found;
	cellView.hidden = !found;
	notice.hidden = found || !id.includes("/");
	if (found) {
		showCell(id);
		scrollTo(0, 0);
		document.getElementById("cell-title").focus({ preventScroll: true });
		return;
	}
	cellView.replaceChildren();
	notice.textContent = notice.hidden ? "" : `This report has no cell ${id}.`;
	if (came && left.href) {
		scrollTo(0, left.y);
		[...overview.querySelectorAll("a")].find(link => link.getAttribute("href") === left.href)?.focus({ preventScroll: true });
	} else if (id !== "") {
		document.getElementById(id)?.focus();
	}
}

overview.addEventListener("click", event => {
	Object.assign(left, { href: event.target.closest("a")?.getAttribute("href"), y: scrollY });
});
addEventListener("hashchange", route);
addEventListener("keydown", event => {
	tip.hidden ||= event.key === "Escape";
});
dark.addEventListener("change", () => showTheme(dark.matches ? "dark" : "light"));
showHead();
showTheme(dark.matches ? "dark" : "light");
makeFilters();
makeLegend();
makeFailed();
showClaims();
showMatrix();
route();
