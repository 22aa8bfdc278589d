// SPDX-License-Identifier: MIT
// The document, found again by cell, and how its values are written. Each kernel has a document of its own; the page
// shows them side by side. What is in it reaches the page as text and attributes alone, never as markup.
"use strict";

const source = JSON.parse(document.getElementById("document").textContent);
const kernels = source.kernels ?? [source];
for (const kernel of kernels) {
	kernel.name = /^\d/.test(kernel.kernel) ? `Linux ${kernel.kernel.split(" ")[0]}` : kernel.kernel; // uname -rv, or in words
	kernel.byId = new Map(kernel.cells.map(cell => [cell.id, cell]));
}

// Of all kernels, in the order of the first that has it.
const union = (list, key) => new Map(kernels.flatMap(kernel => kernel[list]).map(item => [item[key], item]));
const policies = union("policies", "name");
const scenarios = union("scenarios", "name");
const links = union("links", "name");
const claims = union("claims", "id");
const ids = [...union("cells", "id").keys()];
const played = [...links.values()].filter(link => kernels.some(kernel => kernel.cells.some(cell => cell.link === link.name)));

// The kinds of policies: a way to send is one that is played with a request only.
const request = "request";
const kinds = { library: "lb_close", raw: "Raw calls", sends: "Ways to send" };
const closes = new Set(kernels.flatMap(kernel => kernel.cells).filter(cell => cell.scenario !== request)
	.map(cell => cell.policy));

function kindOf(policy) {
	if (policy.startsWith("raw_")) {
		return "raw";
	}
	return closes.has(policy) ? "library" : "sends";
}

const hrefOf = id => "#" + id.split("/").map(encodeURIComponent).join("/");

// The part of what was meant that the peer's application got; null where nothing was meant.
const fraction = cell => cell.meant_bytes > 0 ? Math.min(1, cell.peer_bytes / cell.meant_bytes) : null;
const lost = cell => cell.whole < cell.runs;

function percent(cell) {
	const part = fraction(cell);
	if (part === null) {
		return "–";
	}
	if (part > 0 && part < 0.01) {
		return "<1 %";
	}
	return `${part < 1 ? Math.min(99, Math.round(part * 100)) : 100} %`;
}

const number = value => value.toLocaleString("en-US");
const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;
const bytes = value => value === null || value === undefined ? "unknown" : plural(value, "byte");

// In microseconds; before the connection was there it is below 0.
function time(us) {
	if (us < 0) {
		return `−${time(-us)}`;
	}
	const [value, unit] = us < 1000 ? [us, "µs"] : us < 1e6 ? [us / 1000, "ms"] : [us / 1e6, "s"];
	const digits = unit === "µs" ? 0 : value >= 100 ? 1 : 2;
	return `${value.toFixed(digits)} ${unit}`;
}

const ends = { eof: ["EOF", "an EOF"], reset: ["RST", "a reset"], waiting: ["open", "nothing: it was still waiting, or did not read on"] };
const endOf = cell => ends[cell.peer_end] ?? [cell.peer_end, cell.peer_end];
// An end that looks like a clean one, of a stream that was cut.
const hides = cell => cell.peer_end === "eof" && fraction(cell) !== null && fraction(cell) < 1;
const runsOf = cell => `${number(cell.whole)} of ${number(cell.runs)} whole`;

// An element with attributes and children; a child that is a string becomes text.
function make(space, tag, attributes, children) {
	const element = document.createElementNS(space, tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== undefined && value !== null && value !== false) {
			element.setAttribute(name, value === true ? "" : value);
		}
	}
	element.append(...children.flat().filter(child => child !== null));
	return element;
}
const html = (tag, attributes = {}, ...children) => make("http://www.w3.org/1999/xhtml", tag, attributes, children);
const svg = (tag, attributes = {}, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);

// How much of its bytes a cell lost, as a colour: the style sheet mixes it.
function shade(element, cell) {
	const part = fraction(cell);
	if (part !== null) {
		element.classList.add(part < 1 ? "lost" : "whole");
		element.style.setProperty("--lost", `${Math.round((1 - part) * 100)}%`);
	}
	return element;
}

// One stop of the Tab key for a grid of things; the arrow keys go on from there, over what is not in it.
function rove(container, grid) {
	const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
	const places = new Map(grid.flatMap((row, y) => row.map((item, x) => [item, [y, x]])));
	places.delete(null);
	for (const item of places.keys()) {
		item.setAttribute("tabindex", -1);
	}
	places.keys().next().value?.setAttribute("tabindex", 0);
	container.onfocusin = event => {
		if (places.has(event.target)) {
			container.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
			event.target.setAttribute("tabindex", 0);
		}
	};
	container.onkeydown = event => {
		const step = steps[event.key], place = places.get(event.target);
		if (!step || !place) {
			return;
		}
		event.preventDefault();
		let [y, x] = place;
		do {
			[y, x] = [y + step[0], x + step[1]];
		} while (grid[y]?.[x] === null);
		grid[y]?.[x]?.focus();
	};
}
