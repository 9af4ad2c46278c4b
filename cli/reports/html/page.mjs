// The page around the charts: the theme, and moving through time by buttons and keys.

const root = document.documentElement
const dark_switch = document.getElementById("dark")
const wanted = matchMedia("(prefers-color-scheme: dark)")
const KEPT = "soma-cp report theme"
const STEP = 0.25 // of the range in view

function kept() {
  try {
    return localStorage.getItem(KEPT)
  } catch {
    return null // some browsers keep nothing for pages from a disk
  }
}

function keep(theme) {
  try {
    if (theme === null) localStorage.removeItem(KEPT)
    else localStorage.setItem(KEPT, theme)
  } catch {
    // it holds for this visit only
  }
}

let own = kept() // light or dark, or null: as the system

function showTheme(theme) {
  if (root.dataset.shown === theme) return
  root.dataset.shown = theme
  dispatchEvent(new Event("theme"))
}

function applyTheme() {
  const theme = own ?? (wanted.matches ? "dark" : "light")
  dark_switch.ariaChecked = String(theme === "dark")
  showTheme(theme)
}

dark_switch.addEventListener("click", () => {
  const theme = root.dataset.shown === "dark" ? "light" : "dark"
  own = theme === (wanted.matches ? "dark" : "light") ? null : theme
  keep(own)
  applyTheme()
})
wanted.addEventListener("change", applyTheme)
addEventListener("beforeprint", () => showTheme("light"))
addEventListener("afterprint", applyTheme)
applyTheme()

const bar = document.getElementById("time-bar")
const text = document.getElementById("time-shown")
const time = () => Bokeh.documents[0].get_model_by_name("time")

// Show `width` of the axis around `middle`, within its bounds.
function showTime(middle, width) {
  const range = time()
  const [low, high] = range.bounds
  const wide = Math.min(Math.max(width, range.min_interval), high - low)
  const start = Math.min(Math.max(middle - wide / 2, low), high - wide)
  range.setv({start, end: start + wide})
}

const moves = {
  earlier: (middle, width) => showTime(middle - STEP * width, width),
  later: (middle, width) => showTime(middle + STEP * width, width),
  closer: (middle, width) => showTime(middle, width / 2),
  farther: (middle, width) => showTime(middle, width * 2),
  whole: (middle) => showTime(middle, Infinity),
}
const keys = {ArrowLeft: "earlier", ArrowRight: "later", "+": "closer", "=": "closer", "-": "farther", 0: "whole", Escape: "whole"}

function move(name) {
  const {start, end} = time()
  moves[name]((start + end) / 2, end - start)
}

bar.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-move]")
  if (button !== null) move(button.dataset.move)
})
bar.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys[event.key] === undefined) return
  event.preventDefault()
  move(keys[event.key])
})

function tellTime() {
  const {start, end} = time()
  const unit = text.dataset.unit
  const digits = unit === "cycles" ? 0 : 3
  const written = (value) => value.toLocaleString("en-US", {maximumFractionDigits: digits})
  text.textContent = `${written(start)} … ${written(end)} ${unit}`
}

function connect() {
  if (window.Bokeh?.documents?.length !== 1) return requestAnimationFrame(connect)
  for (const end of ["start", "end"]) time().properties[end].change.connect(tellTime)
  return tellTime()
}
connect()
