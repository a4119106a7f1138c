"""The processor time of a headless Chromium, which tells on a busy machine what the clock on the wall does not."""

from playwright.sync_api import Browser


def processor_seconds(browser: Browser) -> float:
    """Seconds of processor time that all processes of a browser have taken so far."""
    session = browser.new_browser_cdp_session()
    processes = session.send('SystemInfo.getProcessInfo')['processInfo']
    session.detach()
    return sum(process['cpuTime'] for process in processes)
