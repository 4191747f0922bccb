"""What the tests of the HTML pages share: a folder, a headless Chromium, and ways to ask a page what it shows.

Without selenium or Chromium the tests that need them are skipped with the reason; with BILENS_REQUIRE_BROWSER=1 that is
a failure.
"""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
import unittest

HOSTILE = "<script>alert(1)</script>"
HOSTILE_NAME = HOSTILE.replace("/", "∕")  # as a folder can be called


def assert_self_contained(page):
    """The page loads nothing from anywhere, and nothing in its data ends a script or stands there as markup."""
    text = page.read_text()
    foreign = re.findall(r"""(?:src|href|url\(|action)\s*[=(]?\s*["']?(?:https?:)?//""", text)
    assert not foreign, foreign
    assert HOSTILE not in text
    assert text.count("</script>") == 2


class WithFolder(unittest.TestCase):
    """A folder that the tests of one class share."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)


class InBrowser(WithFolder):
    """Opens pages; a test fails on any error or warning that they leave in the console."""

    @classmethod
    def setUpClass(cls):
        cls.driver = start_browser()
        if isinstance(cls.driver, str):
            if os.environ.get("BILENS_REQUIRE_BROWSER") == "1":
                raise AssertionError(cls.driver)
            raise unittest.SkipTest(cls.driver)
        cls.addClassCleanup(cls.driver.quit)
        super().setUpClass()

    def tearDown(self):
        errors = [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        self.assertEqual(errors, [])

    def visit(self, page, fragment=""):
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + fragment)

    def ask(self, script, *arguments):
        return self.driver.execute_script("return " + script, *arguments)

    def text(self, selector):
        return self.ask("document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        return self.ask("[...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector)

    def cells(self, rows):
        """The texts of a table's cells, row by row. @param rows: their selector"""
        return self.ask(
            "[...document.querySelectorAll(arguments[0])].map((row) => [...row.cells].map((cell) => cell.textContent))",
            rows,
        )

    def circle_titles(self, figures):
        """What the points of charts say, chart by chart. @param figures: the selector of the charts"""
        return self.ask(
            "[...document.querySelectorAll(arguments[0])].map("
            "(figure) => [...figure.querySelectorAll('circle title')].map((title) => title.textContent))",
            figures,
        )

    def search(self, words):
        """Types words into the box that finds eigenvectors."""
        self.driver.execute_script(
            "const box = document.querySelector('.search input');"
            "box.value = arguments[0]; box.dispatchEvent(new Event('input'))",
            words,
        )

    def click(self, selector):
        self.driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def press(self, selector, key):
        self.driver.execute_script(
            "const node = document.querySelector(arguments[0]); node.focus();"
            "node.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[1], bubbles: true}))",
            selector,
            key,
        )

    def saved(self, selector, kind="Text"):
        """What a button saves, as text, or with kind "DataURL" as such an address."""
        return self.driver.execute_async_script(
            """const [selector, kind, done] = arguments;
            URL.createObjectURL = (blob) => {
              const reader = new FileReader();
              reader.onload = () => done(reader.result);
              reader[`readAs${kind}`](blob);
              return '#';
            };
            HTMLAnchorElement.prototype.click = () => {};
            document.querySelector(selector).click()""",
            selector,
            kind,
        )

    @contextlib.contextmanager
    def scheme(self, name):
        """The system of the reader is "light" or "dark"."""

        def prefer(features):
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

        prefer([{"name": "prefers-color-scheme", "value": name}])
        try:
            yield
        finally:
            prefer([])

    @contextlib.contextmanager
    def phone(self):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        )
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def assert_fits_a_phone(self):
        self.assertLessEqual(self.ask("document.documentElement.scrollWidth"), 390)


def start_browser():
    """A driver, or a string that says why there is none."""
    try:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
    except ImportError:
        return "selenium is not installed (pip install selenium)"
    browser, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not chromedriver:
        return "Chromium or its driver is not installed (apt-get install chromium chromium-driver)"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    except WebDriverException as error:
        return f"Chromium does not start: {error.msg}"
