"""A headless Chromium for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--window-size=1280,1800",
)
SECONDS = 20.0
CTRL = 2
"""The bit of the modifier key in the browser's protocol."""

DEEP_TEXT = """
function texts(node, found) {
  if (node.nodeType === Node.TEXT_NODE) found.push(node.data)
  if (node.shadowRoot) texts(node.shadowRoot, found)
  if (node.tagName !== "STYLE" && node.tagName !== "SCRIPT") for (const child of node.childNodes) texts(child, found)
  return found
}
return texts(document.body, []).join(" ")"""


def why_no_browser() -> str | None:
    """Return what is missing, in words; None if nothing is."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        return "no chromium and chromedriver on the path (Debian: chromium, chromium-driver)"
    return "selenium is not installed" if find_spec("selenium") is None else None


@contextmanager
def browser(profile: Path) -> Iterator["Browser"]:
    """Run a browser with a profile folder of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """A browser with a report open."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        """Open a report and wait until it is drawn."""
        self.driver.get(path.as_uri())
        self.until("return window.Bokeh !== undefined && Bokeh.documents.length === 1")
        self.until(
            f"return {SOURCE}('items tiles 0').data.left.length + {SOURCE}('blocks tiles 0').data.left.length > 0"
        )

    def resize(self, width: int, height: int) -> None:
        """Give the page another size (pixels)."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def until(self, condition: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.run(condition), condition)

    def errors(self) -> list[str]:
        """Return what the page has written to the console since the last call, without plain information."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")]

    def data(self, source: str) -> dict[str, list[Any]]:
        """Return the columns of a source; typed arrays as lists."""
        found: dict[str, list[Any]] = self.run(
            f"return Object.fromEntries(Object.entries({SOURCE}('{source}').data).map(([k, v]) => [k, Array.from(v)]))"
        )
        return found

    def place(self, chart: str, x: float, y: float) -> tuple[float, float]:
        """Return where on the screen a point of a chart lies."""
        left, top = self.run(
            f"const view = Bokeh.index.find_one_by_id({SOURCE}('{chart}').id)\n"
            "const box = view.el.getBoundingClientRect()\n"
            f"return [box.left + view.frame.x_scale.compute({x}), box.top + view.frame.y_scale.compute({y})]"
        )
        return left, top

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})

    def hover(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x - 1, y)
        self.mouse("mouseMoved", x, y)

    def click(self, x: float, y: float) -> None:
        self.hover(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def zoom(self, x: float, y: float, steps: int) -> None:
        for _ in range(abs(steps)):
            self.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300 if steps > 0 else 300, modifiers=CTRL)

    def text_with(self, part: str) -> str:
        """Wait until `part` is on the page, hover boxes included, and return all text of the page."""
        self.until(f"{DEEP_TEXT}.includes({part!r})")
        return str(self.run(DEEP_TEXT))


SOURCE = "Bokeh.documents[0].get_model_by_name"
