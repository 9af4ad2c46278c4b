// A click on a transfer or on a tile (which stands for the ofmap that it makes) highlights how long the tensor lives in
// the buffer and which tiles read it, and points the table of layers to its layer; a click on an empty spot ends this.

const REACH = 2 // of a click, in pixels: as much as narrow items are widened

// The item at a point, or else the nearest one on its lane within reach (cycles).
function itemAt(lanes, x, y, reach) {
  for (const lane of lanes) {
    if (y < lane.bottom || y > lane.top) continue
    const {left, right} = lane.all.data
    let nearest = null
    let least = reach
    for (let i = 0; i < left.length && left[i] <= x + reach; i++) {
      const distance = Math.max(left[i] - x, x - right[i], 0)
      if (distance < least || (distance === least && nearest === null)) {
        nearest = [lane, i]
        least = distance
      }
    }
    if (nearest !== null) return nearest
  }
  return null
}

const number = (value) => value.toLocaleString("en-US")

function describe(all, row, lane) {
  const what = lane.is_compute ? `ofmap of ${all.name[row]} (${all.kept[row]})` : all.name[row]
  return (
    `${what}: ${number(all.bytes[row])} bytes. ` +
    `Living Duration (Start ${all.start[row]}, End ${all.end[row]}): ` +
    `cycles ${number(all.hold_begin[row])} … ${number(all.hold_end[row])}. ` +
    `Read by ${all.readers[row]}.`
  )
}

export default ({lanes, tiles, picked, living, readers, index, mib, range, figure}, event) => {
  const {per_cycle} = lanes[0]
  const reach = (REACH * (range.end - range.start)) / figure.inner_width / per_cycle
  const found = itemAt(lanes, event.x / per_cycle, event.y, reach)
  const text = document.getElementById(`note-${index}`)
  if (found === null) {
    picked.data = {left: [], right: [], bottom: [], top: []}
    living.data = {left: [], right: [], top: [], kind: [], drawn_left: [], drawn_right: []}
    readers.data = {left: [], right: [], name: [], label: []}
    text.textContent = text.dataset.hint
    return
  }
  const [lane, row] = found
  const all = lane.all.data
  picked.data = {left: [all.left[row] * per_cycle], right: [all.right[row] * per_cycle], bottom: [lane.bottom], top: [lane.top]}
  living.data = {
    left: [all.hold_begin[row]],
    right: [all.hold_end[row]],
    top: [all.bytes[row] / mib],
    kind: [all.held_as[row]],
    drawn_left: [all.hold_begin[row] * per_cycle],
    drawn_right: [all.hold_end[row] * per_cycle],
  }
  const positions = new Set()
  for (const [first, end, step] of all.reading[row]) for (let p = first; p < end; p += step) positions.add(p)
  const rows = [...positions].sort((a, b) => a - b)
  const pick = (name) => rows.map((p) => tiles.data[name][p])
  readers.data = {left: pick("left"), right: pick("right"), name: pick("name"), label: rows.map(() => "")}
  text.textContent = describe(all, row, lane)
  dispatchEvent(new CustomEvent("picked", {detail: {schedule: index, layer: all.layer[row]}}))
}
