"""A visitor with a real browser, who sees and presses what people do."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from load.visits import KINDS, Life, Pending, checked, content, settled

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


class Window(Life):
    """One who comes again and again, with Chromium."""

    program = "/usr/bin/chromium"

    async def live(self) -> None:
        """Until the house closes and no job is left."""
        # Here: pytest looks for examples in this file, too, where no browser is installed.
        from playwright.async_api import Error, async_playwright

        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=self.program, args=[*FLAGS])
            while self.place.is_open or self.pending:
                if not self.place.is_up:
                    await asyncio.sleep(0.5)
                    continue
                born = self.place.generation
                context = await browser.new_context(viewport={"width": 1000, "height": 700})
                try:
                    page = await context.new_page()
                    page.set_default_timeout(600_000)
                    problems: list[str] = []
                    page.on("pageerror", lambda error, p=problems: p.append(str(error)))
                    await page.goto(self.place.address)
                    await page.wait_for_selector("h1:has-text('Denoise images')")
                    await self.come(page, born)
                    self.diary.losses += [f"a script failed: {text}" for text in problems]
                except Error as error:
                    if born == self.place.generation and self.place.is_up:
                        self.diary.losses.append(f"Chromium: {str(error)[:500]}")
                        self.pending.clear()
                        return
                    await asyncio.sleep(1)
                finally:
                    with contextlib.suppress(Error):  # Ctrl-C may have ended it
                        await context.close()
            await browser.close()

    async def come(self, page: Any, born: int) -> None:
        """Visits in one session."""
        origin = self.place.address.partition("/?")[0]
        while (self.place.is_open or self.pending) and born == self.place.generation:
            if not self.pending:
                async with self.place.gate:
                    await page.goto(f"{origin}/")
                    await self.start(page)
                    await page.goto("about:blank")
            while self.pending:
                async with self.place.gate:
                    is_over = await self.fetch(page, origin, self.pending[0])
                    await page.goto("about:blank")
                if is_over:
                    self.pending.pop(0)
            await self.pause()

    async def start(self, page: Any) -> None:
        """From a file to a job."""
        self.sent += 1
        kind = self.rng.randrange(KINDS)
        name = f"chromium_{self.place.generation}_{self.sent:04d}.tif"
        file = {"name": name, "mimeType": "image/tiff", "buffer": content(kind)}
        await page.set_input_files("input[type=file]", file)
        await page.wait_for_url("**/image?**")
        await page.wait_for_selector(".verdict")
        self.diary.counts["uploads"] += 1
        await page.click("text=More options")
        await page.select_option("label:has-text('Method') select", "gaussian")
        await page.wait_for_selector(".verdict:has-text('gaussian')")
        await page.click("button:has-text('Denoise')")
        await page.wait_for_url("**/job/**")
        job = Pending(page.url.rpartition("/")[2], name, kind)
        self.pending.append(job)
        self.diary.jobs[job.id] = {}

    async def fetch(self, page: Any, origin: str, job: Pending) -> bool:
        """A job to its end, and its result; False to come again for it."""
        if self.diary.jobs[job.id]:  # the server went while the job was being removed
            return True
        await page.goto(f"{origin}/job/{job.id}")
        over = page.locator("text=Download").or_(page.locator("button:has-text('Start again')"))
        stop = page.locator("button:has-text('Stop')")
        while not await over.first.is_visible():
            if not self.place.is_open and await stop.is_enabled():
                job.fate = "stopped"
                await stop.click()
            if not self.place.gate.is_open:
                return False
            await asyncio.sleep(1)
        record = await settled(self.place, job.id)
        if record["state"] != job.fate and record["state"] in (
            "interrupted",
            "stopped",
        ):  # by a restart
            self.diary.jobs[job.id] = record
            self.diary.counts["started again"] += 1
            await page.click("button:has-text('Start again')")
            await page.wait_for_url(lambda url: "/job/" in url and job.id not in url)
            again = page.url.rpartition("/")[2]
            self.pending.append(Pending(again, job.name, job.kind))
            self.diary.jobs[again] = {}
            return True
        file = None
        if record["state"] == "done":
            async with page.expect_download() as started:
                await page.click("text=Download")
            file = Path(await (await started.value).path()).read_bytes()
            self.diary.counts["Chromium"] += 1
        checked(self.diary, job, record, file)
        await page.click("text=Remove from the list")
        await page.wait_for_url(f"{origin}/")
        return True
