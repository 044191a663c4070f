// What people do with the portal, in a real browser. The story to play is the first argument.
import { assert, BASE, barriers, fits, launched, profile, shot, tabTo, until } from "./kit.mjs";

const LINKS = JSON.parse(process.env.LINKS);
const [, , name] = process.argv;

/** The state that the page of a deployment shows in its head. */
const badge = (page) => page.locator("#d-head .badge").innerText();

/** Asks for a deployment on the form, reads the plan, and begins. */
async function deploy(page, service, environment, version) {
  await page.goto(`/deploy?service=${service}&environment=${environment}&version=${version}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  const begin = page.locator("main form[method=post] button[type=submit]");
  await begin.first().waitFor();
  await begin.first().click();
  await page.waitForURL(/\/deployments\/[0-9a-f-]+$/);
  return page.url().split("/").pop();
}

const stories = {
  /** Finds the service by the keyboard's search, reads the plan, deploys, and watches it go live. */
  async deploys_and_watches(browser) {
    const { page, complaints } = await profile(browser, { link: LINKS.owner });
    await shot(page, "overview");
    await deploy(page, "storefront", "staging", "1.0.0");
    let loads = 0;
    page.on("load", () => (loads += 1));
    await until("it goes live", async () => (await badge(page)).includes("succeeded"), 60000);
    assert.equal(loads, 0, "the page changed by itself");
    await shot(page, "deployment-succeeded");
    await page.goto("/");
    await page.getByRole("link", { name: "1.0.0" }).first().waitFor();
    return complaints;
  },

  /** A release that never becomes healthy goes back while somebody watches, and says why. */
  async sees_a_bad_release_go_back(browser) {
    const { page, complaints } = await profile(browser, { link: LINKS.owner, dark: true });
    await deploy(page, "storefront", "staging", "1.2.0");
    await until("it waits", async () => (await page.locator("#d-says").innerText()).includes("Waits"));
    await shot(page, "deployment-waits-dark");
    await page.getByLabel("Why: Roll back").fill("it never becomes healthy");
    await page.getByRole("button", { name: "Roll back" }).click();
    await until("it went back", async () => (await badge(page)).includes("rolled back"), 60000);
    const says = await page.locator("#d-says").innerText();
    assert.match(says, /it never becomes healthy|rolled back/);
    await shot(page, "deployment-rolled-back-dark");
    return complaints;
  },

  /** Pauses, goes on, and aborts, without the script. */
  async steers_without_a_script(browser) {
    const { page, complaints } = await profile(browser, { link: LINKS.owner, script: false });
    const id = await deploy(page, "storefront", "staging", "1.2.0");
    await page.getByRole("button", { name: "Pause" }).click();
    assert.match(await badge(page), /paused/);
    await shot(page, "deployment-paused-no-script");
    await page.getByRole("button", { name: "Resume" }).click();
    assert.doesNotMatch(await badge(page), /paused/);
    await page.getByLabel("Why: Abort").fill("enough seen");
    await page.getByRole("button", { name: "Abort" }).click();
    await until("it is over", async () => {
      await page.goto(`/deployments/${id}`);
      return (await badge(page)).includes("aborted");
    }, 60000);
    return complaints;
  },

  /** Who may only look sees which right is missing, and the server refuses what is sent all the same. */
  async is_told_what_is_missing(browser) {
    const owner = await profile(browser, { link: LINKS.owner });
    const id = await deploy(owner.page, "storefront", "staging", "1.2.0");
    const { page, complaints } = await profile(browser, { link: LINKS.viewer });
    await page.goto(`/deployments/${id}`);
    const pause = page.getByRole("button", { name: "Pause" });
    assert.ok(await pause.isDisabled());
    const acts = await page.locator("#d-acts").innerText();
    assert.match(acts, /right drive/);
    await shot(page, "deployment-refused");
    await pause.evaluate((button) => { button.disabled = false; });
    await pause.click();
    await page.getByText("You may not do this").waitFor();
    await shot(page, "refused");
    await owner.page.getByLabel("Why: Abort").fill("seen");
    await owner.page.getByRole("button", { name: "Abort" }).click();
    await until("it is over", async () => (await badge(owner.page)).includes("aborted"), 60000);
    return [...complaints, ...owner.complaints];
  },

  /** Signs in, finds the service and locks its environment with the keyboard alone. */
  async needs_no_mouse(browser) {
    const { page, complaints } = await profile(browser);
    await page.goto(LINKS.owner);
    await tabTo(page, /^BUTTON Sign in/);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${BASE}/`);
    await tabTo(page, /^A Environments/);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/environments$/);
    await tabTo(page, /^A staging/);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/environments\/staging$/);
    await tabTo(page, /^INPUT Why it is locked/);
    await page.keyboard.type("a look around");
    await page.keyboard.press("Enter");
    await page.locator("#e-holds .note").waitFor();
    assert.match(await page.locator("#e-holds").innerText(), /a look around/);
    await shot(page, "environment-locked");
    await tabTo(page, /^BUTTON Lift the lock/);
    await page.keyboard.press("Enter");
    await until("the lock is lifted", async () => !(await page.locator("#e-holds").innerText()).includes("a look around"));
    return complaints;
  },

  /** Eight tabs follow a deployment; the eighth answers, and all of them through one stream. */
  async opens_eight_tabs(browser) {
    const { context, page, complaints } = await profile(browser, { link: LINKS.owner });
    const id = await deploy(page, "storefront", "staging", "1.2.0");
    const tabs = [page];
    for (let tab = 1; tab < 8; tab += 1) {
      const next = await context.newPage();
      const begun = Date.now();
      await next.goto(`/deployments/${id}`);
      assert.ok(Date.now() - begun < 5000, `tab ${tab + 1} took ${Date.now() - begun} ms`);
      tabs.push(next);
    }
    await page.getByLabel("Why: Abort").fill("seen in eight tabs");
    await page.getByRole("button", { name: "Abort" }).click();
    for (const tab of tabs.slice(1)) {
      await until("each tab sees the end", async () => (await badge(tab)).includes("aborted"), 60000);
    }
    return complaints;
  },

  /** Every page, in both themes, wide and narrow: nothing bars anybody, nothing scrolls sideways. */
  async every_page_is_for_everybody(browser) {
    const found = [];
    const complaints = [];
    const owner = await profile(browser, { link: LINKS.owner });
    for (const dark of [false, true]) {
      for (const width of [1280, 390, 320]) {
        const signedIn = await profile(browser, { as: owner, dark, width });
        for (const path of JSON.parse(process.env.PAGES)) {
          const answer = await signedIn.page.goto(path);
          assert.equal(answer.status() < 400, !/none|no-such/.test(path), `${path}: ${answer.status()}`);
          assert.equal(await signedIn.page.locator("h1").count(), 1, `${path} has one h1`);
          assert.match(await signedIn.page.title(), / · Pointsman$|^Pointsman$/, path);
          await fits(signedIn.page);
          if (width !== 320) found.push(...(await barriers(signedIn.page)));
          const file = path.replace(/[0-9a-f]{8}-[0-9a-f-]+/, "id").replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, "") || "overview";
          await shot(signedIn.page, `page-${file}-${width}${dark ? "-dark" : ""}`);
        }
        complaints.push(...signedIn.complaints);
        await signedIn.context.close();
      }
    }
    assert.deepEqual(found, []);
    return complaints;
  },
};

const browser = await launched();
try {
  const complaints = await stories[name](browser);
  assert.deepEqual(complaints, [], "the browser complained");
} finally {
  await browser.close();
}
