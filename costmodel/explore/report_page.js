"use strict";
// The page of an exploration. `data` is what costmodel/report.py calls content(). Everything that
// is shown is written as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const PAGE_ROWS = 200;
const MOST_LEVELS = 16; // Of a colour's legend; more are a ramp.
const MOST_WITHOUT_WEBGL = 2000;
const RAMP = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const PREFIXES = {
  fJ: [[1e15, "J"], [1e12, "mJ"], [1e9, "µJ"], [1e6, "nJ"], [1e3, "pJ"], [1, "fJ"]],
  ns: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"], [1e-3, "ps"]],
  bits: [[1e12, "Tbit"], [1e9, "Gbit"], [1e6, "Mbit"], [1e3, "kbit"], [1, "bit"]],
};

function decode(column) {
  if ("constant" in column) return Array(data.rows).fill(column.constant);
  if ("levels" in column) return column.codes.map((code) => column.levels[code]);
  return column.values;
}

const columns = {};
for (const [name, column] of Object.entries(data.columns)) {
  columns[name] = { ...column, name, values: decode(column), varies: !("constant" in column) };
}
const cores = Object.entries(data.cores).map(([key, column]) => [key, decode(column)]);
const front = new Set(data.front);
const best = new Set(data.best);
const objectives = new Map(data.objectives);
const webgl = (() => {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
})();

const state = {
  technology: data.technologies[0] ?? "",
  selected: 0,
  hidden: new Set(), // Values of the colour that are not drawn.
  sort: { column: data.objectives[0][0], down: false },
  shown: PAGE_ROWS,
};

// --- Words and numbers -------------------------------------------------------------------------

// Made once: toLocaleString makes one for every number.
const fourDigits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
const integer = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** All digits up to a billion: for columns of a table, which are compared by their length. */
function full(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Math.abs(value) >= 1e9) return short(value);
  return (Math.abs(value) >= 1000 ? integer : fourDigits).format(value);
}

/** Four digits, with k, M or G. */
function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (Math.abs(value) >= limit) return `${fourDigits.format(value / limit)} ${unit}`;
  }
  return full(value);
}

/** A value with its unit, where that has prefixes with the one that fits. */
function quantity(name, row) {
  const { unit, values } = columns[name];
  const value = values[row];
  if (value === null || value === undefined || !unit) return short(value);
  for (const [factor, prefixed] of PREFIXES[unit] ?? []) {
    if (Math.abs(value) >= factor) return `${fourDigits.format(value / factor)} ${prefixed}`;
  }
  return `${short(value)} ${unit}`;
}

/** The unit of a column of the table, and what its values are divided by: 1 or more is left of each. */
function tableUnit(name) {
  const { unit, values } = columns[name];
  let least = Infinity;
  for (const row of data.front) if (values[row] !== null && ours(row)) least = Math.min(least, values[row]);
  return (PREFIXES[unit] ?? []).find(([factor]) => least >= factor && least < Infinity) ?? [1, unit];
}

const percent = (share) =>
  share > 0 && share < 0.0005 ? "< 0.1 %" : share >= 0.1 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(1)} %`;
const plural = (count, word) => `${full(count)} ${word}${count === 1 ? "" : "s"}`;
const lower = (label) => label.split(", ")[0];

/** Whether a core has an axis. */
const has = (row, axis) =>
  Object.entries(columns[axis].where).every(([other, words]) => !columns[other] || words.includes(columns[other].values[row]));

/** A core in a few words: what tells it from the others. */
function nameOf(row) {
  const parts = [];
  for (const axis of new Set(["kind", "act", ...data.axes])) {
    const value = columns[axis]?.values[row];
    if (value === null || value === undefined || value === "" || value === 0) continue;
    if (!has(row, axis)) continue;
    parts.push(typeof value === "number" ? `${columns[axis].symbol}=${full(value)}` : value);
  }
  return parts.join(" ");
}

function element(tag, content = [], attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...[content].flat());
  return made;
}

function facts(target, pairs) {
  target.replaceChildren(
    ...pairs.map(([term, value]) => element("div", [element("dt", term), element("dd", value)])),
  );
}

// --- A core's file -----------------------------------------------------------------------------

function scalar(value) {
  const plain = /^[A-Za-z][\w.-]*$/.test(value) && !/^(y|n|yes|no|on|off|true|false|null)$/i.test(value);
  return typeof value !== "string" || plain ? String(value) : JSON.stringify(value);
}

function yamlOf(row) {
  const comment = [nameOf(row), ...data.objectives.map(([name]) => `${lower(columns[name].label)}: ${quantity(name, row)}`)];
  const lines = [];
  const nested = new Map();
  for (const [key, values] of cores) {
    const value = values[row];
    if (value === null || value === undefined) continue;
    const [head, tail] = key.split(".");
    if (tail === undefined) {
      lines.push(`${head}: ${scalar(value)}`);
    } else {
      if (!nested.has(head)) nested.set(head, []);
      nested.get(head).push(`${tail}: ${scalar(value)}`);
    }
  }
  for (const [head, parts] of nested) lines.push(`${head}: {${parts.join(", ")}}`);
  // A word with a line break would end its comment.
  const comments = comment.map((line) => `# ${line.replace(/[^\P{C}]|[\u2028\u2029]/gu, " ")}`);
  return [...comments, "format: hwgen.core/1", ...lines, ""].join("\n");
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that came by plain HTTP have no clipboard.
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  element("a", [], { href: address, download: `${name.replace(/µ/g, "mu").replace(/\W+/g, "_").toLowerCase()}.yaml` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// --- The plot ----------------------------------------------------------------------------------

const all = Array.from({ length: data.rows }, (_, row) => row);
const ours = (row) => !data.technologies.length || columns.technology.values[row] === state.technology;
const accuracyOf = (name) => data.accuracy[state.technology]?.[name];

function isPositive(name) {
  return all.every((row) => !(columns[name].values[row] <= 0) || columns[name].values[row] === null);
}

function spreadOf(name) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of columns[name].values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high };
}

function levelsOf(column) {
  const levels = [...new Set(column.values)];
  return levels.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));
}

function rampColour(share) {
  // Neither end may vanish in the background.
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const place = (dark ? 0.22 + 0.78 * share : 0.92 * share) * (RAMP.length - 1);
  const at = Math.min(Math.floor(place), RAMP.length - 2);
  const channel = (index) => {
    const [from, to] = [RAMP[at], RAMP[at + 1]].map((colour) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16));
    return Math.round(from + (to - from) * (place - at));
  };
  return `rgb(${channel(0)},${channel(1)},${channel(2)})`;
}

function coloursOf(column, theme) {
  const levels = levelsOf(column);
  const colours = new Map(
    levels.map((level, index) => {
      if (column.number) return [level, rampColour(levels.length > 1 ? index / (levels.length - 1) : 0.5)];
      const colour = data.colours[index % data.colours.length];
      return [level, colour === "#000000" ? theme.text : colour];
    }),
  );
  return { levels, colours };
}

function themeNow() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["text", "soft", "grid", "line", "card", "ring"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Of the front, what no other core beats in these two objectives, in the order of a line. */
function stairsOf(rows, x, y) {
  if (!objectives.has(x) || !objectives.has(y) || x === y) return [];
  const [signX, signY] = [x, y].map((name) => (objectives.get(name) ? -1 : 1));
  const [xs, ys] = [columns[x].values, columns[y].values];
  const sorted = rows.filter((row) => front.has(row)).sort((a, b) => signX * (xs[a] - xs[b]) || signY * (ys[a] - ys[b]));
  let least = Infinity;
  return sorted.filter((row) => {
    const lower = signY * ys[row] < least;
    if (lower) least = signY * ys[row];
    return lower;
  });
}

function draw() {
  const theme = themeNow();
  const [x, y, colour] = [$("x").value, $("y").value, $("colour").value];
  const { levels, colours } = coloursOf(columns[colour], theme);
  drawLegend(columns[colour], levels, colours);
  const [xs, ys, values] = [x, y, colour].map((name) => columns[name].values);
  const drawable = all.filter((row) => ours(row) && xs[row] !== null && ys[row] !== null);
  const rows = drawable.filter((row) => !state.hidden.has(values[row]));
  const members = rows.filter((row) => front.has(row));
  let background = $("front-only").checked ? [] : rows.filter((row) => !front.has(row));
  if (!webgl && background.length > MOST_WITHOUT_WEBGL) {
    const step = background.length / MOST_WITHOUT_WEBGL;
    background = Array.from({ length: MOST_WITHOUT_WEBGL }, (_, i) => background[Math.floor(i * step)]);
  }
  const stairs = stairsOf(rows, x, y);
  const errors = $("bars").checked ? [x, y].map(accuracyOf) : [];
  const type = webgl ? "scattergl" : "scatter";
  const points = (chosen) => ({
    type, x: chosen.map((row) => xs[row]), y: chosen.map((row) => ys[row]), customdata: chosen,
  });
  const bar = (found) => ({
    type: "percent", value: found ? 100 * found[0] : 0, visible: Boolean(found), color: theme.text, thickness: 1.2, width: 3,
  });
  const coloured = (chosen) => chosen.map((row) => colours.get(values[row]));
  const ring = (chosen, size, paint, symbol) => ({
    ...points(chosen), mode: "markers", hoverinfo: "skip",
    marker: { size, symbol, color: paint, line: { color: paint, width: 2.5 } },
  });
  const visible = new Set(rows);
  // Outlines of many would hide what is in them.
  const outline = members.length > 2000 ? 0 : members.length > 300 ? 0.6 : 1.2;
  const traces = [
    { ...points(background), mode: "markers", hoverinfo: "none",
      marker: { color: coloured(background), size: background.length > 4000 ? 4 : 6, opacity: 0.45 } },
    { ...points(stairs), mode: "lines", hoverinfo: "skip", line: { color: theme.text, width: 1.3, shape: "hv" },
      error_x: bar(errors[0]), error_y: bar(errors[1]) },
    { ...points(members), mode: "markers", hoverinfo: "none",
      marker: { color: coloured(members), size: outline === 1.2 ? 9 : 6, line: { color: theme.text, width: outline } } },
    ring([...best].filter((row) => visible.has(row)), 17, theme.ring, "circle-open"),
    ring([state.selected].filter((row) => visible.has(row)), 24, theme.text, "circle-open"),
  ];
  const narrow = innerWidth < 560;
  const axis = (id, name) => ({
    title: { text: plain(columns[name].label), standoff: 10 },
    type: $(`${id}-log`).checked ? "log" : "linear",
    tickformat: spreadOf(name).high >= 1e4 ? "~s" : undefined,
    gridcolor: theme.grid, linecolor: theme.line, zeroline: false, automargin: true,
    nticks: ticksOf(name, $(`${id}-log`).checked, narrow && id === "x"),
  });
  const layout = {
    xaxis: axis("x", x), yaxis: axis("y", y),
    paper_bgcolor: theme.card, plot_bgcolor: theme.card, showlegend: false, hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 13, color: theme.text },
    margin: { l: 10, r: 14, t: 10, b: 10 },
    // On a touch screen a finger scrolls the page, not the plot.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.soft, activecolor: theme.text },
    uirevision: [x, y, $("x-log").checked, $("y-log").checked, state.technology].join(),
  };
  const config = {
    responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover",
    // Named one by one: by default some versions offer to send the chart to a server.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "svg", filename: "front" },
  };
  Plotly.react("plot", traces, layout, config);
  describe(x, y, background.length, members.length, stairs.length, drawable);
}

/** Ticks to ask for: of a logarithmic axis 1, 2 and 5 of each decade, or the decades where it is narrow. */
function ticksOf(name, log, narrow) {
  const { low, high } = spreadOf(name);
  const decades = log ? Math.log10(high / low) : 4;
  return Math.min(10, Math.max(5, Math.ceil(decades * (narrow ? 1 : 2))));
}

/** Text without what Plotly would read as markup. */
const plain = (text) => text.replace(/[<>&$]/g, " ");

function describe(x, y, background, members, stairs, drawable) {
  const held = data.rows - data.front.length;
  const sentences = [`Drawn: ${plural(members, "core")} of the front, larger, and ${full(background)} others.`];
  if (data.kept > data.rows) {
    sentences.push(`This page holds the whole front and ${full(held)} of the ${full(data.kept - data.front.length)} other cores, chosen by a fixed rule; results.parquet holds all.`);
  }
  if (!webgl) sentences.push(`Without WebGL at most ${full(MOST_WITHOUT_WEBGL)} others are drawn.`);
  if (stairs) sentences.push(objectives.size > 2
    ? `The line joins the ${full(stairs)} of the front that no other core beats in these two objectives.`
    : "The line is the front.");
  sentences.push("Ringed: the best core, and in black or white the one whose file is shown. A click on a point shows its file.");
  $("drawn").textContent = sentences.join(" ");
  const known = [...new Set([x, y])].filter((name) => accuracyOf(name));
  const words = known.map((name) => `±${percent(accuracyOf(name)[0])} of ${lower(columns[name].label)} (${plural(accuracyOf(name)[1], "core")})`);
  $("bars-note").textContent = words.length
    ? `Error bars: the mean absolute error of the cost model on hold-out cores, which were really synthesised and never fitted: ${words.join(", ")}; more below. Cores closer to each other than that may well change places.`
    : "";
}

function drawLegend(column, levels, colours) {
  if (levels.length > MOST_LEVELS) {
    const stops = levels.filter((_, i) => i % Math.ceil(levels.length / 24) === 0).map((level) => colours.get(level));
    $("legend").replaceChildren(
      element("span", full(levels[0])),
      element("span", [], { class: "ramp", style: `background: linear-gradient(90deg, ${stops.join(", ")})` }),
      element("span", `${full(levels.at(-1))} (${lower(column.label)}, by rank)`),
    );
    return;
  }
  $("legend").replaceChildren(...levels.map((level) => {
    const text = level === "" ? "none" : column.number ? `${column.symbol} = ${full(level)}` : full(level);
    const chip = element("button", [element("i", [], { style: `background: ${colours.get(level)}` }), text], {
      type: "button", "aria-pressed": String(!state.hidden.has(level)),
    });
    chip.onclick = () => {
      state.hidden.has(level) ? state.hidden.delete(level) : state.hidden.add(level);
      draw();
    };
    return chip;
  }));
}

function showTip(event) {
  const row = event.points[0].customdata;
  const names = new Set([...data.objectives.map(([name]) => name), $("x").value, $("y").value]);
  const lines = [...names].map((name) => element("div", [element("span", lower(columns[name].label)), element("span", quantity(name, row))]));
  const what = best.has(row) ? " · best" : front.has(row) ? " · front" : "";
  $("tip").replaceChildren(element("strong", nameOf(row) + what), ...lines);
  $("tip").hidden = false;
  const { clientX, clientY } = event.event;
  const box = $("tip").getBoundingClientRect();
  const left = clientX + 16 + box.width > innerWidth ? clientX - 16 - box.width : clientX + 16;
  $("tip").style.left = `${Math.max(8, left)}px`;
  $("tip").style.top = `${Math.max(8, Math.min(clientY + 12, innerHeight - box.height - 8))}px`;
}

// --- One core ----------------------------------------------------------------------------------

function select(row) {
  state.selected = row;
  $("core-name").textContent = nameOf(row);
  const badges = [];
  if (best.has(row)) badges.push(element("span", "best", { class: "best" }));
  badges.push(element("span", front.has(row) ? "on the front" : "not on the front"));
  $("badges").replaceChildren(...badges);
  facts($("facts"), data.objectives.filter(([name]) => columns[name].values[row] !== null).map(([name]) => {
    const error = accuracyOf(name);
    return [lower(columns[name].label), [quantity(name, row), ...(error ? [element("small", `± ${percent(error[0])}`)] : [])]];
  }));
  $("yaml").textContent = yamlOf(row);
  $("copy").textContent = "Copy YAML";
  $("show-best").hidden = best.has(row);
  drawBreakdown(row);
  for (const line of $("front").tBodies[0].rows) line.classList.toggle("chosen", Number(line.dataset.row) === row);
  draw();
}

function bestRow() {
  return data.best.find(ours) ?? data.front.find(ours) ?? all.find(ours);
}

function barRow(label, share, number, mark) {
  const track = element("div", element("i", [], { style: `width: ${Math.min(100, 100 * share)}%` }), { class: "track" });
  if (mark !== undefined) track.append(element("b", [], { style: `left: ${Math.min(100, 100 * mark)}%` }));
  return element("div", [label, track, element("span", number, { class: "number" })], { class: "row" });
}

function drawBreakdown(row) {
  const against = bestRow();
  const blocks = Object.entries(data.breakdowns).filter(([total, parts]) => columns[total].values[row] && Object.values(parts).some((name) => columns[name].values[row] !== null)).map(([total, parts]) => {
    const whole = columns[total].values[row];
    const mostOf = (core) => Math.max(...Object.values(parts).map((name) => columns[name].values[core]));
    const compare = row !== against && columns[total].values[against] ? columns[total].values[against] : 0;
    const scale = Math.max(mostOf(row) / whole, compare ? mostOf(against) / compare : 0);
    const rows = Object.entries(parts)
      .filter(([, name]) => columns[name].values[row] || (compare && columns[name].values[against]))
      .map(([part, name]) => {
        const share = columns[name].values[row] / whole;
        const mark = compare ? columns[name].values[against] / compare / scale : undefined;
        const made = barRow(element("span", part.replaceAll("_", " ")), share / scale, percent(share), mark);
        made.title = `${part}: ${quantity(name, row)}`;
        return made;
      });
    const notes = [`of ${quantity(total, row)}`, ...(compare ? ["the line marks the best core's share"] : [])];
    return element("div", [element("h3", `${lower(columns[total].label)} by component`), ...rows, element("p", notes.join("; "), { class: "note" })], { class: "bars" });
  });
  $("breakdown").replaceChildren(...blocks);
}

// --- The front's table -------------------------------------------------------------------------

const parts = new Set(Object.values(data.breakdowns).flatMap((names) => Object.values(names)));
const tableColumns = [...new Set([
  ...data.objectives.map(([name]) => name),
  ...data.axes,
  ...Object.keys(columns).filter((name) => columns[name].varies && columns[name].number && !parts.has(name)),
])].filter((name) => name !== "technology");

/** A test of a row from the filter's text; an Error says what is wrong with that. */
function filterOf(text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map((term) => {
    const match = /^([^<>=!]+)(<=|>=|!=|=|<|>)(.+)$/.exec(term);
    if (!match) {
      const word = term.toLowerCase();
      return (row) => nameOf(row).toLowerCase().includes(word);
    }
    const [, left, sign, right] = match;
    const column = columns[left] ?? Object.values(columns).find((one) => one.symbol === left);
    if (!column) throw new Error(`There is no column ${left}; there are ${tableColumns.join(", ")}.`);
    const wanted = column.number ? Number(right) : right;
    if (Number.isNaN(wanted)) throw new Error(`${left} is compared with a number, not with ${right}.`);
    const compare = {
      "<": (a) => a < wanted, ">": (a) => a > wanted, "<=": (a) => a <= wanted, ">=": (a) => a >= wanted,
      "=": (a) => a === wanted, "!=": (a) => a !== wanted,
    }[sign];
    return (row) => column.values[row] !== null && compare(column.values[row]);
  });
  return (row) => tests.every((test) => test(row));
}

function drawTable() {
  const { column, down } = state.sort;
  const members = data.front.filter(ours);
  let rows = members;
  const [goal] = data.objectives[0];
  const middle = members.map((row) => columns[goal].values[row]).sort((a, b) => a - b)[members.length >> 1];
  const example = `${data.axes.includes("tables") ? "L>=16 " : ""}${goal}<${Number(Number(middle).toPrecision(2))}`;
  let said = `Words of the core's name, and comparisons of a letter or a column of results.parquet, in its units: lut ${example}`;
  try {
    rows = members.filter(filterOf($("filter").value));
    if ($("filter").value.trim()) said = `${full(rows.length)} of ${plural(members.length, "core")}.`;
  } catch (error) {
    said = error.message;
  }
  $("filter-note").textContent = said;
  const values = columns[column].values;
  const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  rows = [...rows].sort((a, b) => (values[a] === null) - (values[b] === null) || (down ? -1 : 1) * order(values[a], values[b]) || a - b);
  const head = element("tr", [headOf(null), ...tableColumns.map(headOf)]);
  $("front").tHead.replaceChildren(head);
  const factors = tableColumns.map((name) => tableUnit(name)[0]);
  $("front").tBodies[0].replaceChildren(...rows.slice(0, state.shown).map((row) => lineOf(row, factors)));
  const left = rows.length - state.shown;
  $("more").hidden = left <= 0;
  $("more").textContent = `Show ${full(Math.min(left, PAGE_ROWS))} more of ${full(left)}`;
}

function headOf(name) {
  if (name === null) return element("th", [], { "aria-label": "best" });
  const { label, number, symbol } = columns[name];
  const [, unit] = tableUnit(name);
  const sorted = state.sort.column === name;
  const isAxis = data.axes.includes(name);
  const words = isAxis ? (symbol.length < 3 ? symbol : name.replaceAll("_", " ")) : lower(label);
  const arrow = element("span", sorted ? (state.sort.down ? " ▼" : " ▲") : "", { class: "arrow", "aria-hidden": "true" });
  const button = element("button", [words, arrow, element("small", unit)], { type: "button", title: label });
  button.onclick = () => {
    state.sort = { column: name, down: sorted && !state.sort.down };
    drawTable();
  };
  return element("th", button, {
    class: number ? "" : "word", scope: "col", "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : "none",
    "data-column": name,
  });
}

function lineOf(row, factors) {
  const cells = tableColumns.map((name, index) => {
    const { values, number } = columns[name];
    const value = number && values[row] !== null ? values[row] / factors[index] : values[row];
    return element("td", full(value), { class: number ? "" : "word" });
  });
  const line = element("tr", [element("td", best.has(row) ? "★" : "", { class: "star word" }), ...cells], { "data-row": row, tabindex: 0 });
  line.classList.toggle("chosen", row === state.selected);
  line.onclick = () => select(row);
  line.onkeydown = (event) => event.key === "Enter" && select(row);
  return line;
}

// --- What stays as it is -----------------------------------------------------------------------

function drawSensitivity() {
  const found = data.sensitivity[state.technology] ?? {};
  $("sensitivity").replaceChildren(...Object.entries(found).map(([objective, shares]) => {
    const rows = Object.entries(shares).sort((a, b) => b[1] - a[1]).map(([axis, share]) => {
      const button = element("button", columns[axis].label, { type: "button", title: `colour the plot by ${columns[axis].label}` });
      button.onclick = () => {
        $("colour").value = axis;
        state.hidden.clear();
        draw();
        $("plot").scrollIntoView({ block: "center", behavior: "smooth" });
      };
      return barRow(button, share, percent(share));
    });
    return element("div", [element("h3", columns[objective].label), ...rows], { class: "bars" });
  }));
  $("sensitivity-note").textContent =
    `Of the variance of the logarithm of an objective over ${data.sampled < data.kept ? `${full(data.sampled)} of the` : "all"} ${full(data.kept)} kept cores: the share that the means of the axis' values explain (η², the correlation ratio). ` +
    "100 %: who knows the axis knows the objective; 0 %: its values do not differ on average. Each axis on its own, so that shares need not add up to 100 %: effects that only a combination of axes has are in none of them. A click on an axis colours the plot by it.";
  const fixed = Object.entries(data.fixed).filter(([, value]) => value !== "" && value !== null && value !== 0);
  $("fixed").textContent = fixed.length ? `The same in all cores: ${fixed.map(([name, value]) => `${name} ${value}`).join(", ")}.` : "";
}

function drawTrust() {
  const found = data.accuracy[state.technology] ?? {};
  const where = state.technology ? ` in technology ${state.technology}` : "";
  const rows = Object.entries(found).map(([name, [error, , note]]) => [[lower(columns[name].label), element("small", note)], percent(error)]);
  facts($("trust"), rows);
  $("trust-note").textContent = rows.length
    ? `Mean absolute error of the cost model${where} on cores that were really synthesised and never fitted; hwgen validate shows each of them. Cycles and bits per token are exact.`
    : `There is no record of hold-out cores${where}: how wrong areas, clocks and energies are is not known, and there are no error bars. Cycles and bits per token are exact.`;
  facts($("dropped"), data.dropped.map(([reason, count]) => [reason, full(count)]));
  $("dropped-note").textContent = data.dropped.length ? "Combinations of axes without a core of their own, by reason:" : "Every combination of the axes is a core.";
}

function option(name) {
  return element("option", columns[name].label, { value: name });
}

function fillSelects() {
  const numeric = (names) => names.filter((name) => columns[name]?.number && columns[name].varies);
  const goals = data.objectives.map(([name]) => name);
  const axes = numeric(data.axes);
  const others = numeric(Object.keys(columns)).filter((name) => !goals.includes(name) && !axes.includes(name));
  for (const id of ["x", "y"]) {
    $(id).replaceChildren(...[["objectives", goals], ["other numbers", others.filter((name) => !parts.has(name))], ["axes", axes], ["components", others.filter((name) => parts.has(name))]]
      .filter(([, names]) => names.length)
      .map(([label, names]) => element("optgroup", names.map(option), { label })));
    $(id).onchange = () => {
      chooseScale(id);
      draw();
    };
    $(`${id}-log`).onchange = draw;
  }
  $("x").value = goals[0];
  $("y").value = goals[1] ?? goals[0];
  const colours = [...new Set(["series", ...data.axes])].filter((name) => columns[name]);
  $("colour").replaceChildren(...(colours.length ? colours : goals.slice(0, 1)).map(option));
  $("colour").onchange = () => {
    state.hidden.clear();
    draw();
  };
  for (const id of ["front-only", "bars"]) $(id).onchange = draw;
}

function chooseScale(id) {
  const name = $(id).value;
  const { low, high } = spreadOf(name);
  $(`${id}-log`).disabled = !isPositive(name);
  $(`${id}-log`).checked = isPositive(name) && (objectives.has(name) || high / low >= 20);
}

function showTechnology() {
  const known = (name) => all.some((row) => ours(row) && columns[name].values[row] !== null);
  for (const [id, other] of [["x", "y"], ["y", "x"]]) {
    // Not every technology has numbers for every objective.
    if (!known($(id).value)) {
      const usable = [...$(id).options].map((one) => one.value).find((name) => name !== $(other).value && known(name));
      if (usable) $(id).value = usable;
    }
    chooseScale(id);
  }
  state.shown = PAGE_ROWS;
  drawSensitivity();
  drawTrust();
  drawTable();
  select(bestRow());
}

fillSelects();
facts($("counts"), [
  ["combinations", full(data.combinations)],
  ["cores kept", full(data.kept)],
  ["on the front", full(data.front.length)],
  ["dropped", full(data.combinations - data.kept)],
]);
$("question").textContent = data.question;
$("technology-field").hidden = data.technologies.length < 2;
$("technology").replaceChildren(...data.technologies.map((name) => element("option", name, { value: name })));
$("technology").onchange = () => {
  state.technology = $("technology").value;
  showTechnology();
};
$("filter").oninput = () => {
  state.shown = PAGE_ROWS;
  drawTable();
};
$("more").onclick = () => {
  state.shown += PAGE_ROWS;
  drawTable();
};
$("copy").onclick = async () => {
  await copy($("yaml").textContent);
  $("copy").textContent = "Copied";
};
$("save").onclick = () => save($("yaml").textContent, nameOf(state.selected));
$("show-best").onclick = () => select(bestRow());
showTechnology();
$("plot").on("plotly_hover", showTip);
$("plot").on("plotly_unhover", () => ($("tip").hidden = true));
$("plot").on("plotly_click", (event) => select(event.points[0].customdata));
new ResizeObserver(() => requestAnimationFrame(() => Plotly.Plots.resize("plot"))).observe($("plot"));
addEventListener("scroll", () => ($("tip").hidden = true), { passive: true });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.documentElement.dataset.ready = "true";
