// SPDX-License-Identifier: MIT
// The ladder of a cell as SVG: two lifelines, segments as arrows between them, calls as bars beside them. Places follow
// the order of events; of two events apart in time the later is lower, by a step that grows with the logarithm of that.
const flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
const letter = 6.7; // width of one, in px
const gapFrom = 10_000; // µs in which nothing happens and nothing is under way, from which on a gap is marked
const line = 17, head = 5; // how far apart texts are, and heads of arrows, in px

function arrowOf([sent, arrived, who, flags, seq, ack, length, window, count, until]) {
	const names = flagNames.filter((_, bit) => flags & (1 << bit));
	const last = flags & 1 ? seq + length + 1 : seq + length;
	const kind = flags & 4 ? "rst" : flags & 1 ? "fin" : length > 0 || flags & 2 ? "data" : "ack";
	const loud = names.filter(name => name === "FIN" || name === "RST" || name === "SYN");
	const quiet = names.filter(name => !loud.includes(name)).join(" ");
	const range = `${seq}:${seq + length}`;
	const words = length === 0 ? [quiet, kind === "ack" ? ack : `seq ${seq}`]
		: count > 1 ? [range, bytes(length)] : [range, `len ${number(length)}`, quiet];
	return {
		kind, sent, arrived, ours: who === "ours", lost: arrived === null, count, until: count > 1 ? until : null,
		loud: loud.join(" "), label: `${count > 1 ? `×${number(count)} ` : ""}${words.join(" ")}`,
		title: `${who === "ours" ? "Our end" : "The peer"} sends ${names.join(" ")}${count > 1 ? `, ${number(count)} segments` : ""}`,
		rows: [["sent at", time(sent)], ["arrived at", arrived === null ? "never: the link lost it" : `${time(arrived)}, after ${time(arrived - sent)}`],
			...count > 1 && until !== null ? [["last arrived at", time(until)]] : [],
			["sequence", length > 0 ? `${seq} to ${last}` : seq], ["acknowledges", flags & 16 ? ack : "nothing"], ["payload", bytes(length)], ["window", bytes(window)]],
	};
}

function callOf([at, took, who, text]) {
	return {
		at, until: took === null ? null : at + took, ours: who === "ours", text,
		title: `${who === "ours" ? "Our end" : "The peer"} calls ${text}`,
		rows: [["at", time(at)], ["took", took === null ? "it never returned" : time(took)]],
	};
}

// Gives every moment its place: later ones lower, texts and heads at one side clear of each other. Returns the height.
function settle(moments, flights) {
	const texts = new Map(), heads = new Map(); // by side: where the last one is
	const gaps = [];
	moments.sort((a, b) => a.at - b.at);
	let y = 34, before = moments[0]?.at;
	for (const moment of moments) {
		const idle = moment.at - before, step = Math.min(88, 7 * Math.log2(1 + idle / 100));
		if (idle >= gapFrom && !flights.some(flight => flight.sent < moment.at && (flight.until ?? flight.arrived) > before)) {
			gaps.push([y + step / 2, idle]);
		}
		y += step;
		const text = texts.get(moment.side) ?? 0, tip = heads.get(moment.side) ?? 0;
		if (moment.text) {
			y = Math.max(y, text + line, tip + line - 2);
			texts.set(moment.side, y);
		} else if (moment.side) {
			y = Math.max(y, Math.max(text, tip) + head);
			heads.set(moment.side, y);
		}
		moment.y = y;
		before = moment.at;
	}
	return [y + 30, gaps];
}

function momentsOf(arrows, calls) {
	const moments = [];
	const moment = (at, side, text = false) => moments[moments.push({ at, side, text, y: 0 }) - 1];
	for (const arrow of arrows) {
		arrow.from = moment(arrow.sent, arrow.ours ? "left" : "right", true);
		arrow.to = arrow.lost ? null : moment(arrow.arrived, arrow.ours ? "right" : "left");
		arrow.end = arrow.lost || arrow.until === null ? null : moment(arrow.until, "");
	}
	for (const call of calls) {
		call.from = moment(call.at, call.ours ? "our calls" : "peer's calls", true);
		call.to = call.until === null ? null : moment(call.until, "");
	}
	return moments;
}

function option(kind, item, parts, show) {
	const group = svg("g", { class: kind, role: "option", "aria-selected": "false", "aria-label":
		[item.title, ...item.rows.map(([name, value]) => `${name} ${value}`)].join(", ") }, svg("title", {}, item.title), parts);
	group.addEventListener("focus", () => {
		group.parentElement.querySelector("[aria-selected='true']")?.setAttribute("aria-selected", "false");
		group.setAttribute("aria-selected", "true");
		show(item.title, item.rows);
	});
	group.addEventListener("mouseenter", () => show(item.title, item.rows));
	group.addEventListener("click", () => group.focus());
	return group;
}

function drawArrow(arrow, left, right, show) {
	const [x1, x2] = arrow.ours ? [left, right] : [right, left];
	const y1 = arrow.from.y, way = arrow.ours ? 1 : -1;
	const [ex, ey] = arrow.lost ? [x1 + (x2 - x1) * 0.6, y1 + 26] : [x2, arrow.to.y];
	const angle = Math.atan2(ey - y1, ex - x1) * 180 / Math.PI;
	const bottom = arrow.end?.y ?? ey;
	const words = { x: x1 + way * 12, y: y1 - 3, "text-anchor": arrow.ours ? "start" : "end", // along the arrow
		transform: `rotate(${Math.atan2(ey - y1, Math.abs(ex - x1)) * way * 180 / Math.PI} ${x1} ${y1})` };
	return option(`arrow ${arrow.kind}${arrow.count > 1 ? " many" : ""}${arrow.lost ? " lost" : ""}`, arrow, [
		bottom > ey ? svg("path", { class: "band", d: `M${x1} ${y1}L${ex} ${ey}V${bottom}L${x1} ${Math.max(y1, bottom - (ey - y1))}Z` }) : null,
		svg("line", { class: "reach", x1, y1, x2: ex, y2: ey }),
		svg("line", { x1, y1, x2: ex - way * (arrow.lost ? 0 : 6), y2: ey }),
		arrow.lost ? svg("path", { class: "cross", d: `M${ex - 6} ${ey - 6}l12 12m0 -12l-12 12` })
			: svg("path", { class: "head", d: "M0 0L-10 -4.5V4.5Z", transform: `translate(${ex} ${ey}) rotate(${angle})` }),
		svg("text", words, arrow.loud ? svg("tspan", { class: "loud" }, `${arrow.loud} `) : null, arrow.label),
	], show);
}

function drawCall(call, x, height, room, show) {
	const y = call.from.y, end = call.to?.y ?? height - 8, way = call.ours ? -1 : 1;
	const most = Math.floor(room / letter);
	const text = call.text.length > most ? `${call.text.slice(0, most - 1)}…` : call.text;
	return option(`call${call.to === null ? " endless" : ""}`, call, [
		svg("rect", { x: x + way * 9 - 3.5, y, width: 7, height: Math.max(5, end - y), rx: 2 }),
		svg("text", { x: x + way * 20, y: y + 8, "text-anchor": call.ours ? "end" : "start" }, text),
	], show);
}

function drawTimes(moments) {
	const drawn = [];
	let clear = 0, last = "";
	for (const moment of moments.filter(({ text }) => text)) {
		if (moment.y >= clear && time(moment.at) !== last) {
			clear = moment.y + line;
			last = time(moment.at);
			drawn.push(svg("text", { class: "time", x: 58, y: moment.y + 4, "text-anchor": "end" }, last));
		}
	}
	return drawn;
}

function drawLifeline(x, name, height, gaps) {
	return [svg("line", { class: "life", x1: x, y1: 24, x2: x, y2: height }),
		svg("text", { class: "who", x, y: 14, "text-anchor": "middle" }, name),
		gaps.map(([y]) => [svg("line", { class: "cut", x1: x, y1: y - 4, x2: x, y2: y + 4 }),
			svg("path", { class: "life", d: `M${x - 6} ${y - 1}l12 -6m-12 14l12 -6` })])].flat(2);
}

function drawGap([y, idle], middle) {
	return svg("text", { class: "gap", x: middle, y: y + 4, "text-anchor": "middle" }, `… ${time(idle)} …`);
}

// How much of the width the texts of calls get at either side, and the arrows between the lifelines: [left, right, all].
function columns(calls, width) {
	const needed = ours => 10 + letter * Math.max(8, ...calls.filter(call => call.ours === ours).map(call => call.text.length));
	const span = Math.min(440, Math.max(260, (width - 110) / 2));
	const most = Math.min(300, Math.max(95, (width - 110 - span) / 2));
	const left = 66 + Math.min(most, needed(true)) + 22;
	return [left, left + span, left + span + 22 + Math.min(most, needed(false))];
}

// Draws a cell for a place of that width, or wider. show(title, rows) is called for what the reader looks at.
function drawLadder(cell, place, show) {
	const arrows = cell.arrows.map(arrowOf), calls = cell.calls.map(callOf);
	const moments = momentsOf(arrows, calls);
	const [height, gaps] = settle(moments, arrows.filter(arrow => !arrow.lost));
	const [left, right, width] = columns(calls, place);
	const options = [...arrows.map(arrow => [arrow.from, drawArrow(arrow, left, right, show)]),
		...calls.map(call => [call.from, drawCall(call, call.ours ? left : right, height, call.ours ? left - 88 : width - right - 22, show)])]
		.sort(([a], [b]) => moments.indexOf(a) - moments.indexOf(b)).map(([, group]) => group);
	const drawing = svg("svg", { class: "ladder", width, height, viewBox: `0 0 ${width} ${height}`, role: "listbox",
		"aria-label": "Segments and calls in the order of time" },
	svg("g", { "aria-hidden": "true" }, drawTimes(moments), drawLifeline(left, "our end", height, gaps),
		drawLifeline(right, "the peer", height, gaps), gaps.map(gap => drawGap(gap, (left + right) / 2))), options);
	rove(drawing, options.map(group => [group]));
	return drawing;
}
