"""Where is the browser for the tests of the page, and what if there is none?"""

import importlib.util
import os
import shutil

import pytest

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path():
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def missing():
    """What has to be installed, or None."""
    absent = [
        name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None
    ]
    if absent:
        return f"tests/browser: {' and '.join(absent)} not installed; pip install -e '.[browser]'"
    path = chromium_path()
    if not path or not shutil.which(path):
        return (
            f"tests/browser: no Chromium at {path or 'PATH'}; apt-get install chromium, or set CHROMIUM=/path"
        )
    return None


def pytest_collection_finish(session):
    reason = missing() if any(item.get_closest_marker("browser") for item in session.items) else None
    if reason:
        raise pytest.UsageError(reason)


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()
