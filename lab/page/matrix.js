// SPDX-License-Identifier: MIT
// The matrix as a heat map, its filters, and the card that says more of a cell. Only what passes the filters is made.
const closesTable = document.querySelector("table.matrix");
const requestsTable = document.querySelector("#requests table");
const filters = document.querySelector(".filters");
const tip = document.getElementById("tip");

function choice(name, legend, options) {
	return html("fieldset", { class: "choice", hidden: options.length < 2 }, html("legend", {}, legend),
		options.map(([value, text, title], at) => html("label", { title },
			html("input", { type: "radio", name, value, checked: at === options.length - 1 }), text)));
}

const check = (name, text) => html("label", { class: "check" }, html("input", { type: "checkbox", name }), text);

function makeFilters() {
	const several = kernels.length > 1;
	filters.append(
		choice("link", "Link", played.map(link => [link.name, link.name, link.text])),
		choice("kernel", "Kernel", kernels.map((kernel, at) => [at, kernel.name, kernel.kernel])),
		html("label", {}, html("span", {}, "Search ", html("kbd", {}, "/")),
			html("input", { type: "search", name: "words", placeholder: "policy, scenario, outcome", autocomplete: "off" })),
		html("label", {}, html("span", {}, "Policies"), html("select", { name: "kind" }, html("option", { value: "" }, "all"),
			Object.entries(kinds).map(([value, text]) => html("option", { value }, text)))),
		html("div", { class: "checks" }, check("lost", "only where bytes were lost"), check("reset", "only where reset"),
			several ? check("differs", "only where kernels differ") : null));
	filters.addEventListener("input", showMatrix);
	filters.addEventListener("submit", event => event.preventDefault());
	document.addEventListener("keydown", event => {
		if (event.key === "/" && !overview.hidden && !event.ctrlKey && !event.metaKey && !event.altKey
			&& !["INPUT", "SELECT"].includes(event.target.tagName)) {
			event.preventDefault();
			filters.elements.words.focus();
		}
	});
}

// All that a search looks at.
function textOf(cell) {
	const { rung, how, by, phase, error, text } = cell.outcome ?? {};
	return [cell.policy, policies.get(cell.policy)?.text, cell.scenario, scenarios.get(cell.scenario)?.text, cell.peer_end,
		rung, how, by, phase, error, text].join(" ").toLowerCase();
}

const looks = cell => cell && `${percent(cell)} ${cell.peer_end} ${cell.whole === cell.runs} ${cell.whole > 0}`;
const differs = id => new Set(kernels.map(kernel => looks(kernel.byId.get(id)))).size > 1;

function passes(cell) {
	const chosen = filters.elements;
	return (chosen.kind.value === "" || kindOf(cell.policy) === chosen.kind.value)
		&& (!chosen.lost.checked || lost(cell))
		&& (!chosen.reset.checked || cell.resets > 0)
		&& (!chosen.differs?.checked || differs(cell.id))
		&& chosen.words.value.toLowerCase().split(/\s+/).every(word => textOf(cell).includes(word));
}

const segmentsWord = cell => cell.segments ? plural(cell.segments.data, "segment") : "not captured";

function entry(cell) {
	const asked = cell.scenario === request;
	const [end, words] = endOf(cell);
	const mixed = cell.whole > 0 && cell.whole < cell.runs;
	const label = asked ? `${cell.policy} over ${cell.link}: answer after ${time(cell.blocked_ms * 1000)}, ${segmentsWord(cell)}`
		: `${cell.policy}, ${cell.scenario}: the peer got ${percent(cell)}, then ${words}; ${runsOf(cell)}`;
	const link = html("a", { href: hrefOf(cell.id), "aria-label": label },
		html("b", {}, asked ? time(cell.blocked_ms * 1000) : percent(cell)),
		html("span", { class: "end" }, asked ? segmentsWord(cell) : hides(cell) ? `${end} !` : end),
		mixed && !asked ? html("span", { class: "runs" }, `${cell.whole}/${cell.runs}`) : null);
	link.classList.toggle("reset", !asked && cell.peer_end === "reset");
	link.classList.toggle("hides", hides(cell));
	link.classList.toggle("waiting", !asked && cell.peer_end === "waiting");
	link.onmouseenter = link.onfocus = () => showTip(link, cell);
	link.onmouseleave = link.onblur = () => { tip.hidden = true; };
	return asked ? link : shade(link, cell);
}

// Rows of policies; columns by what `column` says of a cell, in the order of `order`.
function fill(table, cells, order, column, corner) {
	const columns = [...order.values()].filter(item => cells.some(cell => column(cell) === item.name));
	const rows = [...policies.values()].filter(policy => cells.some(cell => cell.policy === policy.name));
	const grid = rows.map(row => columns.map(item => {
		const cell = cells.find(found => found.policy === row.name && column(found) === item.name);
		return cell ? entry(cell) : null;
	}));
	const name = item => item.name.split(/(?<=_)/).flatMap(part => [part, html("wbr")]);
	const kind = at => kindOf(rows[at].name);
	table.replaceChildren(
		html("thead", {}, html("tr", {}, html("td", {}, corner),
			columns.map(item => html("th", { scope: "col", title: item.text }, name(item))))),
		html("tbody", {}, rows.map((row, at) => html("tr", { class: at > 0 && kind(at) !== kind(at - 1) ? "other" : null },
			html("th", { scope: "row", title: row.text }, name(row)),
			grid[at].map(link => html("td", {}, link))))));
	table.parentElement.hidden = rows.length === 0;
	rove(table, grid);
}

function showMatrix() {
	const chosen = filters.elements;
	const all = kernels[chosen.kernel.value].cells.filter(cell => cell.scenario === request || cell.link === chosen.link.value);
	const shown = all.filter(passes);
	const requests = shown.filter(cell => cell.scenario === request);
	fill(closesTable, shown.filter(cell => cell.scenario !== request), scenarios, cell => cell.scenario, "");
	fill(requestsTable, requests, links, cell => cell.link, "");
	document.getElementById("requests").hidden = requests.length === 0;
	document.getElementById("count").textContent = `Showing ${number(shown.length)} of ${plural(all.length, "cell")}`
		+ (played.length > 1 ? ` over ${chosen.link.value}, ${links.get(chosen.link.value).text}` : "");
}

function showTip(link, cell) {
	const { left, bottom, top } = link.getBoundingClientRect();
	tip.replaceChildren(
		html("b", {}, `${cell.policy} · ${cell.scenario} · ${cell.link}`),
		html("span", {}, `${scenarios.get(cell.scenario)?.text ?? ""}`),
		html("span", {}, `The peer got ${number(cell.peer_bytes)} of ${bytes(cell.meant_bytes)}, then ${endOf(cell)[1]}; ${runsOf(cell)}.`),
		html("span", {}, `Blocked ${time(cell.blocked_ms * 1000)}.`),
		cell.outcome ? html("span", {}, `“${cell.outcome.text}”`) : null);
	tip.hidden = false;
	const above = bottom + tip.offsetHeight + 8 > innerHeight;
	tip.style.left = `${scrollX + Math.max(8, Math.min(left, document.body.clientWidth - tip.offsetWidth - 8))}px`;
	tip.style.top = `${scrollY + (above ? top - tip.offsetHeight - 6 : bottom + 6)}px`;
}

function makeLegend() {
	const sample = (classes, part, text, end) => {
		const swatch = html("i", { class: `swatch ${classes}`, "aria-hidden": "true" }, end ?? "");
		swatch.style.setProperty("--lost", part);
		return html("li", {}, swatch, text);
	};
	document.querySelector(".legend").append(
		sample("whole", "0%", "the peer got every byte"), sample("lost", "1%", "most"), sample("lost", "50%", "half"),
		sample("lost", "100%", "none"), sample("reset", "0%", "RST: its read failed"),
		sample("waiting", "0%", "open: it was still waiting, or did not read on"),
		html("li", {}, html("b", {}, "EOF !"), "\u00a0as if that were everything"),
		html("li", {}, html("b", {}, "14/20"), "\u00a0so many runs were whole"));
	const text = item => item.played === false ? `${item.text} (not played)` : item.text;
	document.querySelector(".names div").append(...[["Links", links], ["Policies", policies], ["Scenarios", scenarios]]
		.map(([title, items]) => html("section", {}, html("h3", {}, title), html("dl", {},
			[...items.values()].flatMap(item => [html("dt", {}, item.name), html("dd", {}, text(item))])))));
}

// What could not be played is missing from the matrix, and said.
function makeFailed() {
	const failed = kernels.flatMap(kernel => (kernel.failed ?? []).map(cell =>
		html("li", {}, html("code", {}, cell.id), ` ${kernels.length > 1 ? `on ${kernel.name}` : ""}: ${cell.why}`)));
	const unplayed = [...links.values()].filter(link => !played.includes(link)).map(link => link.name);
	document.getElementById("missing").append(
		unplayed.length === 0 ? "" : html("p", { class: "note" }, `Not played over ${unplayed.join(" and ")}.`),
		failed.length === 0 ? "" : html("details", { class: "note" }, html("summary", {},
			`${plural(failed.length, "cell")} could not be played`), html("ul", {}, failed)));
}
