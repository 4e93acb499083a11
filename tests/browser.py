"""A headless Chromium, driven over the WebDriver protocol (w3.org/TR/webdriver2) of its chromedriver."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--proxy-server=direct://", "--force-device-scale-factor=1",
)  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def served(command, url, seconds=30):
    """A server as a process, from its first answer at the address until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: process.poll() is not None or _answers(url), seconds, f"an answer of {command[0]} at {url}")
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(condition, seconds, what):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def browser(profile, size=(1400, 1000)):
    """A window with an empty profile; the test is skipped where there is no Chromium with its driver."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    port = free_port()
    with served([driver, f"--port={port}"], f"http://127.0.0.1:{port}/status"):
        page = Page(
            f"http://127.0.0.1:{port}", program, [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
        )
        try:
            yield page
        finally:
            page.call("DELETE", "")


class Page:
    """One session of the driver."""

    def __init__(self, driver, program, arguments):
        self.session = f"{driver}/session"
        options = {"browserName": "chrome", "goog:chromeOptions": {"binary": program, "args": arguments}}
        options["goog:loggingPrefs"] = {"browser": "ALL"}
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": options}})
        self.session += f"/{answer['sessionId']}"

    def call(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.session + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What a JavaScript function's body returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": arguments})

    def resize(self, width, height):
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def log(self):
        """The console's messages."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
