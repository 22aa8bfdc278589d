// SPDX-License-Identifier: MIT
// The view of one cell: its facts, a column for each kernel, and its ladders.
function segmentsText(segments) {
	return segments ? `${number(segments.data)} data, ${number(segments.fin)} FIN, ${number(segments.rst)} RST` : "unknown";
}

function countersList(cell) {
	const moved = Object.entries(cell.counters ?? {});
	return moved.length === 0 ? "none" : html("ul", { class: "counters" },
		moved.map(([name, by]) => html("li", {}, html("code", {}, name), ` +${number(by)}`)));
}

function outcomeText(cell) {
	const end = cell.outcome;
	if (!end) {
		return "raw calls report none";
	}
	return [end.text, html("span", { class: "because" },
		`rung ${end.rung}, how ${end.how}, by ${end.by}, phase ${end.phase}${end.error ? `, ${end.error}` : ""}; `
		+ `accepted ${bytes(end.accepted)}, acked ${bytes(end.acked)}, lost ${bytes(end.lost)}, discarded ${bytes(end.discarded)}; `
		+ `took ${time(end.took_ms * 1000)}`)];
}

const facts = {
	"Peer’s application got": cell => html("b", {}, shade(html("i", { class: "swatch", "aria-hidden": "true" }), cell),
		`${percent(cell)}: ${number(cell.peer_bytes)} of ${bytes(cell.meant_bytes)}`),
	"Its last read": cell => `got ${endOf(cell)[1]}${hides(cell) ? ", as if that were everything" : ""}`,
	"Runs": cell => `${runsOf(cell)} (${number(cell.eofs)} EOF, ${number(cell.resets)} reset, ${number(cell.waits)} waiting)`,
	"Our kernel took": cell => bytes(cell.sent_bytes),
	"Our application got": cell => bytes(cell.back_bytes),
	"Blocked": cell => time(cell.blocked_ms * 1000),
	"Segments of ours": cell => segmentsText(cell.segments),
	"Segments of the peer": cell => segmentsText(cell.peer_segments),
	"Kernel counters moved": countersList,
	"Outcome": outcomeText,
};

function factsTable(cells) {
	return html("table", { class: "facts" },
		kernels.length > 1 ? html("thead", {}, html("tr", {}, html("td"),
			kernels.map(kernel => html("th", { scope: "col" }, kernel.name)))) : null,
		html("tbody", {}, Object.entries(facts).map(([name, fact]) => html("tr", {}, html("th", { scope: "row" }, name),
			cells.map(cell => html("td", {}, cell ? fact(cell) : "not played"))))));
}

// The arrows that are drawn may be fewer than the segments that passed.
function undrawn(cell) {
	const sum = (who, is) => cell.arrows.filter(arrow => arrow[2] === who && is(arrow)).reduce((all, arrow) => all + arrow[8], 0);
	const short = [["ours", cell.segments], ["peer", cell.peer_segments]].some(([who, seen]) => seen
		&& (sum(who, arrow => arrow[6] > 0) < seen.data || sum(who, arrow => arrow[3] & 1) < seen.fin
			|| sum(who, arrow => arrow[3] & 4) < seen.rst));
	return [short ? "There was no room for all segments: not every one is drawn." : "",
		cell.missed > 0 ? `The capture missed ${plural(cell.missed, "segment")}.` : "",
		cell.captured === false ? "There is no capture of it, so that only calls are drawn." : ""].join(" ").trim();
}

function ladderFigure(cell, kernel) {
	if (!cell) {
		return null;
	}
	const note = undrawn(cell);
	return html("figure", {},
		kernels.length > 1 ? html("figcaption", {}, kernel.name) : null,
		note === "" ? null : html("p", { class: "note" }, note),
		html("div", { class: "scroll", "data-kernel": kernels.indexOf(kernel) }),
		html("dl", { class: "details" }, html("dt", {}, "Nothing is selected"),
			html("dd", {}, "Choose an arrow or a call, or Tab into the diagram and go on with the arrow keys.")));
}

// Once the figure has its width.
function drawInto(scroll, cell) {
	scroll.append(drawLadder(cell, scroll.clientWidth, (title, rows) => scroll.nextElementSibling.replaceChildren(
		html("dt", {}, title), ...rows.map(([name, value]) => html("dd", {}, html("span", {}, name), ` ${value}`)))));
	scroll.scrollLeft = (scroll.scrollWidth - scroll.clientWidth) / 2;
}

function bearing(id) {
	return [...claims.values()].map(claim => [claim, kernels.map(kernel => kernel.claims.find(judged => judged.id === claim.id))])
		.filter(([, judged]) => judged.some(one => one?.cells.includes(id)))
		.map(([claim, judged]) => html("p", { class: "bearing" },
			judged.map((one, at) => one ? [badge(one.verdict), kernels.length > 1 ? ` on ${kernels[at].name} ` : " "] : []).flat(), claim.text));
}

function beside(id, step, text) {
	const other = ids[ids.indexOf(id) + step];
	return other === undefined ? html("span", { class: "step" }, text)
		: html("a", { class: "step", href: hrefOf(other), "aria-label": `${step < 0 ? "Previous" : "Next"} cell: ${other}` }, text);
}

function showCell(id) {
	const cells = kernels.map(kernel => kernel.byId.get(id));
	const cell = cells.find(found => found);
	const others = played.map(({ name }) => name).map(link => [link, [link, cell.policy, cell.scenario].join("/")])
		.filter(([, other]) => ids.includes(other));
	const key = (kind, text) => html("li", {}, svg("svg", { width: 30, height: 10, class: `arrow ${kind}`, "aria-hidden": "true" },
		svg("line", { x1: 0, y1: 5, x2: 22, y2: 5 }), svg("path", { class: "head", d: "M30 5L21 1V9Z" })), text);
	document.getElementById("cell").replaceChildren(
		html("nav", { "aria-label": "Cells" }, html("a", { href: "#matrix", id: "all" }, "← All cells"),
			html("span", {}, beside(id, -1, "‹ previous"), beside(id, 1, "next ›"))),
		html("h2", { id: "cell-title", tabindex: -1 }, html("code", {}, cell.policy), " × ", html("code", {}, cell.scenario),
			" over ", html("code", {}, cell.link)),
		html("p", { class: "lead" }, `Our end: ${policies.get(cell.policy)?.text ?? ""}. Meanwhile: ${scenarios.get(cell.scenario)?.text ?? ""}.`),
		html("p", { class: "over" }, "Over ", others.map(([link, other]) => html("a", { href: hrefOf(other), title: links.get(link).text,
			"aria-current": other === id ? "true" : null }, link))),
		...bearing(id),
		factsTable(cells),
		html("h3", {}, "Packets and calls"),
		html("p", { class: "lead" }, "Time runs down, not to scale: where there is nothing to draw the lifelines are cut, and the cut says for how long. The run shown is the first of the kind that came most often."),
		html("ul", { class: "legend", "aria-label": "Legend of the diagram" }, key("data", "data"), key("ack", "ACK"), key("fin", "FIN"),
			key("rst", "RST"), key("data lost", "lost on the link"), key("data many", "several alike"),
			html("li", {}, html("i", { class: "swatch call" }), "call, from its beginning to its return")),
		html("div", { class: "ladders" }, cells.map((found, at) => ladderFigure(found, kernels[at]))));
	for (const scroll of document.querySelectorAll("#cell .scroll")) {
		drawInto(scroll, cells[scroll.dataset.kernel]);
	}
}
