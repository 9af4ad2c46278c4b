// Gives the charts the colours of the page's theme. The page names it in data-shown of its root element, and sends the
// event "theme" whenever it changes.

export default ({colours, dark}) => {
  const apply = () => {
    const is_dark = document.documentElement.dataset.shown === "dark"
    for (const [model, name, light] of colours) {
      const colour = is_dark ? dark[light] : light
      // A property of a glyph is an object with the value.
      model[name] = typeof model[name] === "string" ? colour : {value: colour}
    }
  }
  addEventListener("theme", apply)
  if (document.documentElement.dataset.shown === "dark") apply()
}
