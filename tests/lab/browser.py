# SPDX-License-Identifier: MIT
"""Chromium without a window, for the tests of pages in files."""

import base64
import shutil
import tempfile
from pathlib import Path

import tap

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

# Nothing of what a browser does for itself: a page is looked at, and no more.
SWITCHES = ["headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", "disable-dev-shm-usage"]

# Of all texts that are seen: their contrast with the first opaque colour behind them (WCAG 2.2, 1.4.3), if too little.
CONTRAST = """
const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
const rgba = colour => {
	context.clearRect(0, 0, 1, 1);
	context.fillStyle = colour;
	context.fillRect(0, 0, 1, 1);
	return context.getImageData(0, 0, 1, 1).data;
};
const luminance = colour => {
	const [r, g, b] = [...rgba(colour)].slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
	const colour = getComputedStyle(element).backgroundColor;
	return rgba(colour)[3] === 255 ? colour : behind(element.parentElement);
};
const texts = [...document.body.querySelectorAll("*")].filter(element => element.checkVisibility({visibilityProperty: true, opacityProperty: true})
	&& !element.closest("title") && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
const poor = texts.map(element => {
	const style = getComputedStyle(element);
	const [a, b] = [element.closest("svg") ? style.fill : style.color, behind(element)].map(luminance);
	return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.tagName, element.textContent.slice(0, 30)];
}).filter(([contrast]) => contrast < 4.5);
return {looked: texts.length, poor};
"""


class Browser:
    """One for a whole program; to be used with `with`."""

    def __init__(self):
        if webdriver is None:
            raise tap.Skip("python3-selenium is not installed")
        program, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if program is None or driver is None:
            raise tap.Skip("chromium or chromium-driver is not installed")
        self.profile = tempfile.mkdtemp(prefix="lastbyte-chromium-")
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for switch in SWITCHES + [f"user-data-dir={self.profile}"]:
            options.add_argument(f"--{switch}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        try:
            self.driver = webdriver.Chrome(service=Service(driver), options=options)
        except BaseException:
            shutil.rmtree(self.profile, ignore_errors=True)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, file, hash="", width=1280, height=900, scheme="light"):
        """Opens a file afresh: also one that is open already, at another place."""
        self.metrics(width, height)
        self.media({"prefers-color-scheme": scheme})
        self.driver.get("about:blank")
        self.driver.get(f"{Path(file).as_uri()}{hash}")

    def metrics(self, width, height):
        self.width = width
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def media(self, features, kind=""):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "media": kind, "features": [{"name": name, "value": value} for name, value in features.items()]})

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        """Keys go where the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*[getattr(Keys, key, key) for key in keys]).perform()

    def focus(self):
        return self.driver.switch_to.active_element

    def until(self, script, *args):
        """Waits for what a script returns to be true: the browser handles what it is told in its own time."""
        return WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(script, *args))

    def contrasts(self):
        return self.run(CONTRAST)

    def complaints(self):
        """What the console has been told since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def shoot(self, file):
        """A picture of the whole page, in a window of its height: that is how it stays, until another is opened."""
        self.metrics(self.width, self.run("return document.documentElement.scrollHeight"))
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {})
        Path(file).write_bytes(base64.b64decode(shot["data"]))
