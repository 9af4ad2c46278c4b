// Chooses what the charts draw: only items in view, and no more of them than there are pixels.
//
// An item that is wide enough is drawn alone. Narrow neighbours on a lane become one block, which says how many items
// it stands for, has the colour of most of their cycles, and is paler the less of its time they fill. A narrow item
// without such neighbours is drawn wider, if there is room. Of the buffer's positions that share a pixel, the fullest
// is drawn. Runs whenever the shared range of time changes, and on the events "theme" and "mark" of the page.
//
// Items are in cycles of their schedule; only what is drawn is in the unit of the shared axis, `per_cycle` for a cycle.

const LEAST_WIDTH = 3 // of an item that is drawn alone, in pixels; and of a block
const LEAST_DRAWN = 2 // of anything that is drawn, in pixels, so that it can be seen and hovered
const LEAST_SPACE = 16 // between lines at borders of groups, in pixels: closer lines would hide the chart
const LEAST_STEP = 1 // of the buffer, in pixels
const LETTER_WIDTH = 6.8 // in pixels, on average
const LEAST_LETTERS = 6 // of a label that is shortened
const PALEST = 0.35

// The number of values, in ascending order, that are at most `limit`.
function countUpTo(values, limit) {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (values[middle] <= limit) low = middle + 1
    else high = middle
  }
  return low
}

function inView(all, range) {
  return [countUpTo(all.right, range.start), countUpTo(all.left, range.end)]
}

// Split the items in view into those drawn alone and blocks of neighbours that are too narrow for that.
function splitLane({all: {data: all}, opacity}, range, pixel) {
  const items = []
  const blocks = {left: [], right: [], count: [], cycles: [], alpha: []}
  if (all.colour !== undefined) blocks.colour = []
  const [first, end] = inView(all, range)
  const least = LEAST_WIDTH * pixel
  for (let i = first; i < end; ) {
    if (all.right[i] - all.left[i] >= least) {
      items.push(i++)
      continue
    }
    const left = all.left[i]
    let right = left
    let count = 0
    let cycles = 0
    const taken = new Map() // cycles of each colour
    do {
      cycles += all.right[i] - all.left[i]
      if (all.colour !== undefined) taken.set(all.colour[i], (taken.get(all.colour[i]) ?? 0) + all.right[i] - all.left[i])
      right = all.right[i]
      count++
      i++
    } while (i < end && all.right[i] - left < least)
    if (count === 1) {
      items.push(i - 1)
      continue
    }
    if (all.colour !== undefined) blocks.colour.push([...taken].reduce((a, b) => (b[1] > a[1] ? b : a))[0])
    blocks.left.push(left)
    blocks.right.push(right)
    blocks.count.push(count)
    blocks.cycles.push(cycles)
    blocks.alpha.push(opacity * Math.max(PALEST, cycles / (right - left)))
  }
  return [items, blocks]
}

// Widen what is narrower than LEAST_DRAWN: to the right up to the next item, then to the left. Only drawn edges change.
function widen(items, blocks, range, pixel) {
  const least = LEAST_DRAWN * pixel
  const spans = []
  for (const columns of [items, blocks]) {
    columns.drawn_left = Array.from(columns.left)
    columns.drawn_right = Array.from(columns.right)
    columns.left.forEach((left, i) => spans.push({columns, i, left, right: columns.right[i]}))
  }
  spans.sort((a, b) => a.left - b.left)
  let before = range.start
  spans.forEach(({columns, i, left, right}, k) => {
    const after = k + 1 < spans.length ? spans[k + 1].left : range.end
    columns.drawn_right[i] = Math.max(right, Math.min(left + least, after))
    columns.drawn_left[i] = Math.min(left, Math.max(columns.drawn_right[i] - least, before))
    before = columns.drawn_right[i]
  })
}

function rowsOf(all, rows) {
  const some = {}
  for (const name of Object.keys(all)) some[name] = rows.map((row) => all[name][row])
  return some
}

// An empty source that stays empty is not set again.
function setRows(source, columns) {
  if (source.data.left.length > 0 || columns.left.length > 0) source.data = columns
}

// Cuts (cycles, ascending; NaN: none) without those that are too close to the one before.
function thinned(cuts, space) {
  let before = -Infinity
  return cuts.map((cut) => {
    if (!(cut - before >= space)) return NaN
    before = cut
    return cut
  })
}

// A label cut in the middle if it has more than `letters` letters. A label with a short form is never cut.
function fitted(label, short, letters) {
  if (label.length <= letters) return label
  if (short !== undefined) return short.length <= letters ? short : ""
  if (letters < LEAST_LETTERS) return ""
  const tail = Math.floor((letters - 1) / 2)
  return label.slice(0, letters - 1 - tail) + "…" + label.slice(label.length - tail)
}

// The range in cycles of a schedule.
const ownRange = (range, per_cycle) => ({start: range.start / per_cycle, end: range.end / per_cycle})

function scale(columns, names, factor) {
  if (factor === 1) return
  for (const name of names) if (columns[name] !== undefined) columns[name] = columns[name].map((x) => x * factor)
}

// The colours of columns in the page's theme.
function shade(columns, dark) {
  if (columns.colour === undefined || document.documentElement.dataset.shown !== "dark") return
  columns.colour = columns.colour.map((colour) => dark[colour] ?? colour)
}

function showLane(lane, shared, shared_pixel, dark) {
  const range = ownRange(shared, lane.per_cycle)
  const pixel = shared_pixel / lane.per_cycle
  const all = lane.all.data
  const [rows, blocks] = splitLane(lane, range, pixel)
  const items = rowsOf(all, rows)
  // Labels stand in the middle of the part in view, if there is room.
  items.middle = rows.map((_, i) => (Math.max(items.left[i], range.start) + Math.min(items.right[i], range.end)) / 2)
  items.edge = rows.map((_, i) => (items.right[i] - items.left[i] >= LEAST_WIDTH * pixel ? 0.5 : 0))
  items.label = items.label.map((label, i) => {
    const room = (Math.min(items.right[i], range.end) - Math.max(items.left[i], range.start)) / pixel
    return fitted(label, items.short?.[i], Math.floor((room - 6) / LETTER_WIDTH))
  })
  if (items.cut !== undefined) items.cut = thinned(items.cut, LEAST_SPACE * pixel)
  widen(items, blocks, range, pixel)
  for (const columns of [items, blocks]) {
    scale(columns, ["drawn_left", "drawn_right", "middle", "cut"], lane.per_cycle)
    shade(columns, dark)
  }
  setRows(lane.items, items)
  setRows(lane.blocks, blocks)
}

function showBuffer(buffer, shared, shared_pixel) {
  const range = ownRange(shared, buffer.per_cycle)
  const pixel = shared_pixel / buffer.per_cycle
  const all = buffer.all.data
  const [first, end] = inView(all, range)
  const rows = []
  const lefts = []
  const rights = []
  const counts = []
  for (let i = first; i < end; ) {
    const left = all.left[i]
    let fullest = i
    let next = i
    do {
      if (all.total[next] > all.total[fullest]) fullest = next
      next++
    } while (next < end && all.right[next - 1] - left < LEAST_STEP * pixel)
    rows.push(fullest)
    lefts.push(left)
    rights.push(all.right[next - 1])
    counts.push(next - i)
    i = next
  }
  const shown = rowsOf(all, rows)
  shown.left = lefts
  shown.right = rights.slice()
  // Even a whole schedule can be narrower than a pixel.
  shown.drawn_right = rights.slice()
  const last = rows.length - 1
  if (last >= 0) shown.drawn_right[last] = Math.max(rights[last], lefts[last] + LEAST_DRAWN * pixel)
  shown.name = shown.name.map((name, i) => (counts[i] > 1 ? `${name}, the fullest of ${counts[i]}` : name))
  // A stack of steps: each kind lies between the top of the kind below it and its own top. A row of zeros ends the last
  // step. It is there even if nothing is in view, since Bokeh never finishes drawing steps of no rows.
  for (const name of Object.keys(shown)) shown[name].push(name === "name" ? "" : 0)
  shown.left[rows.length] = last >= 0 ? shown.drawn_right[last] : range.start
  shown.right[rows.length] = shown.drawn_right[rows.length] = shown.left[rows.length]
  shown.bottom = shown.left.map(() => 0)
  let below = shown.bottom
  buffer.kinds.forEach((kind, k) => {
    const under = below
    below = shown[`top${k}`] = shown[kind].map((held, i) => under[i] + held)
  })
  const outline = outlineOf(buffer.living.data, shown, rows.length)
  shown.drawn_left = shown.left.slice()
  scale(shown, ["drawn_left", "drawn_right"], buffer.per_cycle)
  scale(outline, ["x"], buffer.per_cycle)
  buffer.shown.data = shown
  buffer.outline.data = outline
}

// The outline of a tensor while it lives: as high as its bytes, from the bottom of its own kind's band, so that it
// follows the kinds below. Empty if nothing is selected.
function outlineOf({left, right, top, kind}, shown, count) {
  const outline = {x: [], y: []}
  if (left.length === 0) return outline
  const bottoms = kind[0] === 0 ? shown.bottom : shown[`top${kind[0] - 1}`]
  const steps = []
  for (let i = 0; i < count; i++) {
    const since = Math.max(shown.left[i], left[0])
    const until = Math.min(shown.drawn_right[i], right[0])
    if (since < until) steps.push([since, until, bottoms[i]])
  }
  for (const [since, until, bottom] of steps) {
    outline.x.push(since, until)
    outline.y.push(bottom + top[0], bottom + top[0])
  }
  for (const [since, until, bottom] of steps.reverse()) {
    outline.x.push(until, since)
    outline.y.push(bottom, bottom)
  }
  return outline
}

// Frames around what is in view of the marked layer; those that nearly touch are one.
function showMarks({lanes, source, per_cycle}, layer, shared, shared_pixel) {
  const marks = {left: [], drawn_left: [], drawn_right: [], bottom: [], top: []}
  const range = ownRange(shared, per_cycle)
  const space = (LEAST_WIDTH * shared_pixel) / per_cycle
  for (const lane of layer === undefined ? [] : lanes) {
    const all = lane.all.data
    const [first, end] = inView(all, range)
    let right = -Infinity
    for (let i = first; i < end; i++) {
      if (all.layer[i] !== layer) continue
      const last = marks.left.length - 1
      if (all.left[i] - right < space) marks.drawn_right[last] = all.right[i]
      else {
        marks.left.push(all.left[i])
        marks.drawn_left.push(all.left[i])
        marks.drawn_right.push(all.right[i])
        marks.bottom.push(lane.bottom)
        marks.top.push(lane.top)
      }
      right = all.right[i]
    }
  }
  scale(marks, ["drawn_left", "drawn_right"], per_cycle)
  if (source.data.drawn_left.length > 0 || marks.left.length > 0) source.data = marks
}

let scheduled = false
let marked = [] // the marked layer of each schedule; none if undefined

function show({range, figure, lanes, buffers, marks, dark}) {
  scheduled = false
  if (!(figure.inner_width > 0)) return // not laid out yet
  const pixel = (range.end - range.start) / figure.inner_width
  for (const lane of lanes) showLane(lane, range, pixel, dark)
  for (const buffer of buffers) showBuffer(buffer, range, pixel)
  marks.forEach((one, i) => showMarks(one, marked[i], range, pixel))
}

let listens = false

export default (args) => {
  if (!listens) {
    listens = true
    new ResizeObserver(() => schedule(args)).observe(document.body)
    addEventListener("theme", () => schedule(args))
    addEventListener("mark", ({detail}) => {
      marked = detail
      schedule(args)
    })
  }
  schedule(args)
}

// A zoom step changes both ends of the range, one after the other: show once for both, before the next frame is drawn.
function schedule(args) {
  if (scheduled) return
  scheduled = true
  queueMicrotask(() => show(args))
}
