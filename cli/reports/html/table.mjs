// The table of layers: sorted by any column, searched by name and kind, compared between schedules, linked to the charts.
//
// A click on a row, or Enter, zooms all charts to the layer; a row under the pointer or with the focus marks the layer's
// tiles and transfers. Up and Down go from row to row: only one row is a stop of the Tab key.

const data = JSON.parse(document.getElementById("layer-data").textContent)
const table = document.getElementById("layer-table")
const search = document.getElementById("layer-search")
const shown = document.getElementById("layer-shown")
const count = document.getElementById("layer-count")
const MARGIN = 0.05 // of the layer's time, left and right of it, when the charts zoom to it
const SPACE = 0.25 // the least part of a zoomed chart that a layer fills, if the axis is fine enough

const {schedules, columns} = data
const places = schedules.map(({layer}) => new Map(layer.map((name, i) => [name, i])))
const names = [...new Set(schedules.flatMap(({layer}) => layer))]
let order = {column: null, down: false}
let rows = []

// What is shown: all figures of one schedule, or one figure of all schedules.
function choice() {
  const [kind, index] = shown.value.split(" ")
  return {compared: kind === "compare", index: Number(index)}
}

const in_time = (column) => column.unit === "cycles" && data.unit !== "cycles"
const unit = (column) => (in_time(column) ? data.unit : column.unit)
const decimals = (column) => (in_time(column) ? 3 : column.decimals)

function figure(name, s, c) {
  const place = places[s].get(name)
  if (place === undefined) return null
  const value = schedules[s].values[c][place]
  return in_time(columns[c]) ? value * schedules[s].per_cycle : value
}

function written(value, column, signed) {
  if (value === null) return "–"
  const digits = decimals(column)
  const text = value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits})
  return (signed && value > 0 ? "+" : "") + text.replace("-", "−")
}

// Title, whether it is a number, value to sort by, and text of each column.
function makeColumns() {
  const {compared, index} = choice()
  const text = (title, of) => ({title, is_number: false, value: of, text: of})
  const first = [
    text("layer", (name) => name.slice(data.prefix.length)),
    text("kind", (name) => (places.map((place, s) => schedules[s].kind[place.get(name)]).find((kind) => kind) ?? "")),
  ]
  const of = (title, column, value, signed = false) => ({
    title,
    is_number: true,
    value,
    text: (name) => written(value(name), column, signed),
  })
  if (!compared) {
    const group = text("LG / FLG × tiles", (name) => schedules[index].group[places[index].get(name)])
    const own = columns.map((column, c) => of(`${column.title} (${unit(column)})`, column, (name) => figure(name, index, c)))
    return [...first, group, ...own]
  }
  const column = columns[index]
  const each = schedules.map(({name: title}, s) => of(title, column, (name) => figure(name, s, index)))
  if (schedules.length === 2) {
    const difference = (name) => {
      const [one, two] = [figure(name, 0, index), figure(name, 1, index)]
      return one === null || two === null ? null : two - one
    }
    each.push(of(`difference (${unit(column)})`, column, difference, true))
  }
  return [...first, ...each]
}

function layersShown() {
  const {compared, index} = choice()
  const words = search.value.toLowerCase().split(/\s+/).filter((word) => word)
  const kind = (name) => places.map((place, s) => schedules[s].kind[place.get(name)]).join(" ")
  return names.filter(
    (name) =>
      (compared || places[index].has(name)) &&
      words.every((word) => name.toLowerCase().includes(word) || kind(name).toLowerCase().includes(word)),
  )
}

// Layers without a value come last, whatever the direction; equal ones stay in computing order.
function sorted(layers, column) {
  if (column === undefined) return layers
  const sign = order.down ? -1 : 1
  return [...layers].sort((a, b) => {
    const [one, two] = [column.value(a), column.value(b)]
    if (one === null || two === null) return (one === null) - (two === null)
    return sign * (column.is_number ? one - two : one.localeCompare(two, "en", {numeric: true}))
  })
}

function element(tag, text, parent) {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = text
  parent?.append(made)
  return made
}

function draw() {
  const made = makeColumns()
  const own = made.find(({title}) => title === order.column)
  const head = element("tr")
  for (const column of made) {
    const cell = element("th", undefined, head)
    cell.scope = "col"
    if (!column.is_number) cell.className = "text"
    cell.ariaSort = column !== own ? "none" : order.down ? "descending" : "ascending"
    const button = element("button", column.title, cell)
    button.type = "button"
    button.addEventListener("click", () => sortBy(column))
  }
  const layers = sorted(layersShown(), own)
  const body = document.createDocumentFragment()
  rows = layers.map((name, i) => {
    const row = element("tr", undefined, body)
    row.dataset.layer = name
    made.forEach((column, c) => {
      const cell = element(c === 0 ? "th" : "td", undefined, row)
      if (!column.is_number) cell.className = "text"
      if (c > 0) return (cell.textContent = column.text(name))
      cell.scope = "row"
      const button = element("button", column.text(name), cell)
      button.type = "button"
      button.title = `${name}: zoom the charts to it`
      button.tabIndex = i === 0 ? 0 : -1
      return button
    })
    return row
  })
  table.tHead.replaceChildren(head)
  table.tBodies[0].replaceChildren(body)
  count.textContent = `${layers.length} of ${names.length} layers`
}

// The first click sorts figures from the largest down, names from A to Z; the next turns this round, the third ends it.
function sortBy({title, is_number}) {
  if (order.column !== title) order = {column: title, down: is_number}
  else if (order.down === is_number) order = {column: title, down: !is_number}
  else order = {column: null, down: false}
  draw()
  const titles = [...table.tHead.querySelectorAll("button")]
  titles.find((button) => button.textContent === title)?.focus()
}

const rowOf = (event) => event.target.closest("tbody tr")

// The schedules that a row is about.
function about() {
  const {compared, index} = choice()
  return schedules.map((_, s) => compared || s === index)
}

function mark(name) {
  const ids = about().map((is_shown, s) => {
    const place = is_shown && name !== null ? places[s].get(name) : undefined
    return place === undefined ? undefined : schedules[s].id[place]
  })
  dispatchEvent(new CustomEvent("mark", {detail: ids}))
}

function zoomTo(name) {
  const range = Bokeh.documents[0].get_model_by_name("time")
  const spans = schedules.flatMap(({begin, end, per_cycle}, s) => {
    const place = about()[s] ? places[s].get(name) : undefined
    return place === undefined ? [] : [[begin[place] * per_cycle, end[place] * per_cycle]]
  })
  const start = Math.min(...spans.map(([begin]) => begin))
  const end = Math.max(...spans.map(([, finish]) => finish))
  const [low, high] = range.bounds ?? [-Infinity, Infinity]
  const margin = Math.max(MARGIN * (end - start), (range.min_interval * (1 / SPACE - 1)) / 2)
  range.setv({start: Math.max(low, start - margin), end: Math.min(high, end + margin)})
  const first = about().indexOf(true)
  document.getElementById(`events-${first}`).scrollIntoView({block: "nearest"})
}

function point(name) {
  for (const row of rows) row.classList.toggle("picked", row.dataset.layer === name)
}

table.tBodies[0].addEventListener("click", (event) => {
  const row = rowOf(event)
  if (row === null) return
  point(row.dataset.layer)
  mark(row.dataset.layer)
  zoomTo(row.dataset.layer)
})
for (const [on, off] of [
  ["pointerover", "pointerleave"],
  ["focusin", "focusout"],
]) {
  table.tBodies[0].addEventListener(on, (event) => mark(rowOf(event)?.dataset.layer ?? null))
  table.tBodies[0].addEventListener(off, () => mark(null))
}
table.tBodies[0].addEventListener("keydown", (event) => {
  const here = rows.indexOf(rowOf(event))
  const to = {ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1}[event.key]
  if (to === undefined || rows[to] === undefined) return
  event.preventDefault()
  rows[here].querySelector("button").tabIndex = -1
  const button = rows[to].querySelector("button")
  button.tabIndex = 0
  button.focus()
})
addEventListener("picked", ({detail: {schedule, layer}}) => {
  const {id, layer: of} = schedules[schedule]
  point(of[id.indexOf(layer)])
})
search.addEventListener("input", draw)
shown.addEventListener("change", draw)
draw()
