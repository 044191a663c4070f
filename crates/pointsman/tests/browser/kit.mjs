// A browser as somebody has it: what it complained about fails the story, and what it showed is kept.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const BASE = process.env.PORTAL;
const SHOTS = process.env.SHOTS;
const AXE = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
/** How long anything that is waited for may take, in milliseconds. */
const PATIENCE = 30000;

export { assert, BASE, PATIENCE };

/** A browser that ends with the story. */
export async function launched() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // The tests run as root in containers, where Chromium's own sandbox cannot start.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** One browser profile: pages opened in it share cookies, and their complaints are gathered. */
export async function profile(browser, { width = 1280, dark = false, script = true, link, as } = {}) {
  const context = await browser.newContext({
    baseURL: BASE,
    viewport: { width, height: width < 500 ? 844 : 900 },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    javaScriptEnabled: script,
    // Signed in already, in another profile.
    storageState: as && (await as.context.storageState()),
  });
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  await context.exposeFunction("complain", (text) => complaints.push(text));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      window.complain(`policy: ${event.violatedDirective} ${event.blockedURI} on ${location.pathname}`);
    });
  });
  context.on("page", (page) => {
    page.on("pageerror", (error) => complaints.push(`script: ${error.message} on ${page.url()}`));
  });
  const page = await context.newPage();
  if (link) {
    await page.goto(link);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${BASE}/`);
  }
  return { context, page, complaints };
}

/** Keeps what a page shows. */
export async function shot(page, name) {
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
}

/** Nothing is wider than the window: pages never scroll sideways. */
export async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${page.url()} is ${over} px too wide`);
}

/** What axe finds serious or critical, in words. */
export async function barriers(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const result = await window.axe.run(document, {
      runOnly: { type: "tag", values: tags },
      rules: { "target-size": { enabled: true } },
    });
    const bad = result.violations.filter((it) => ["serious", "critical"].includes(it.impact));
    return bad.map((it) => `${it.id}: ${it.help}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  });
  return found.map((text) => `${page.url()}: ${text}`);
}

/** Waits until `probe` gives something. */
export async function until(what, probe, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const seen = await probe();
    if (seen) return seen;
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Presses Tab until the focus is on what `wanted` describes; each stop must be in sight. */
export async function tabTo(page, wanted, stops = 80) {
  for (let stop = 0; stop < stops; stop += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const focused = document.activeElement;
      if (!focused || focused === document.body) return null;
      const box = focused.getBoundingClientRect();
      const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      const covered = middle && !focused.contains(middle) && !middle.contains(focused);
      return {
        text: `${focused.tagName} ${(focused.textContent || focused.getAttribute("aria-label") || focused.name || "").trim()}`,
        inSight: box.bottom > 0 && box.top < innerHeight && !covered,
      };
    });
    if (!at) continue;
    assert.ok(at.inSight, `the focus is out of sight at ${at.text} of ${page.url()}`);
    if (wanted.test(at.text)) return;
  }
  assert.fail(`no Tab leads to ${wanted} on ${page.url()}`);
}
