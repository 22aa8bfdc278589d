// SPDX-License-Identifier: MIT
// The table of claims: what is said, what came of it on each kernel, and the cells that show it.
const verdicts = { holds: "✓", partly: "◐", fails: "✗" };
const few = 4; // cells that are shown at once

function badge(verdict) {
	return html("span", { class: `badge ${verdict in verdicts ? verdict : ""}` },
		html("span", { "aria-hidden": "true" }, verdicts[verdict] ?? "?"), ` ${verdict}`);
}

function cellLink(id) {
	const cell = kernels.map(kernel => kernel.byId.get(id)).find(found => found);
	const link = html("a", { href: hrefOf(id) }, html("i", { class: "swatch", "aria-hidden": "true" }), id);
	if (cell) {
		shade(link.firstChild, cell);
	}
	return html("li", {}, link);
}

function claimRow(id, text) {
	const judged = kernels.map(kernel => kernel.claims.find(claim => claim.id === id));
	const cells = [...new Set(judged.flatMap(claim => claim?.cells ?? []))];
	const more = cells.slice(few);
	return html("tr", {},
		html("th", { scope: "row" }, text, html("code", {}, id)),
		judged.map((claim, at) => html("td", { "data-label": kernels.length > 1 ? kernels[at].name : null },
			claim ? badge(claim.verdict) : "not judged", html("span", { class: "because" }, claim?.because ?? ""))),
		html("td", {},
			html("ul", { class: "cells", "aria-label": `Cells of ${id}` }, cells.slice(0, few).map(cellLink)),
			more.length === 0 ? null : html("details", {}, html("summary", { "aria-label": `${more.length} more cells of ${id}` },
				`${more.length} more`), html("ul", { class: "cells" }, more.map(cellLink)))));
}

function showClaims() {
	const heads = kernels.length > 1 ? kernels.map(kernel => kernel.name) : ["Verdict"];
	document.querySelector("table.claims").replaceChildren(
		html("thead", {}, html("tr", {}, ["Claim", ...heads, "Cells"].map(text => html("th", { scope: "col" }, text)))),
		html("tbody", {}, [...claims.values()].map(claim => claimRow(claim.id, claim.text))));
}
