//! People in front of the portal: Debian's Chromium on real pages of a real server. What a story is, stands
//! in `tests/browser/stories.mjs`; each screenshot is kept in the target folder, to be looked at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{process::Command, sync::OnceCell, time::timeout};

use crate::world::World;

const MISSING: &str = "the browser tests need Chromium, Node.js and npm: `cargo xtask test` installs them \
    (or run `apt-get install chromium nodejs npm`)";
/// How long a story may take.
const STORY_MAX: Duration = Duration::from_secs(300);

/// Where the stories and what they need are installed.
static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
/// Where screenshots are kept.
static SHOTS: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-shots"));

/// A copy of the stories, with their packages as the lock file names them.
async fn installed() -> &'static Path {
    let install = async || {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        fs::create_dir_all(&to).expect("a folder");
        fs::create_dir_all(&*SHOTS).expect("a folder");
        let mut same = true;
        for file in [
            "package.json",
            "package-lock.json",
            "kit.mjs",
            "stories.mjs",
        ] {
            let new = fs::read(from.join(file)).expect("a file of the tests");
            let old = fs::read(to.join(file)).unwrap_or_default();
            same &= new == old || file.ends_with(".mjs");
            fs::write(to.join(file), new).expect("written");
        }
        if !same || !to.join("node_modules/axe-core").exists() {
            let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
            let npm = Command::new("npm").args(npm).current_dir(&to).output();
            let done = npm.await.expect(MISSING);
            assert!(done.status.success(), "npm ci: {done:?}");
        }
        to
    };
    INSTALLED.get_or_init(install).await
}

/// The shop with somebody who may only look.
struct Stage {
    world: World,
    links: Value,
}

impl Stage {
    async fn new() -> Self {
        let world = World::with_shop().await;
        // It signs in once.
        let owner = world.json(&["session", "link"]).await;
        let links = json!({ "owner": owner["url"] });
        Self { world, links }
    }

    /// Adds somebody who may look at everything and change nothing.
    async fn with_viewer(mut self) -> Self {
        let invited = self.world.json(&["user", "create", "vera"]).await;
        self.world.ok(&["grant", "create", "viewer", "vera"]).await;
        let code = invited["code"].as_str().expect("a code");
        let url = format!("{}/sign-in/link?code={code}", self.portal());
        self.links["viewer"] = url.into();
        self
    }

    fn portal(&self) -> String {
        let note = fs::read(self.world.data().join("server.json")).expect("a server");
        let note: Value = serde_json::from_slice(&note).expect("JSON");
        note["portal"].as_str().expect("an address").to_owned()
    }

    /// Plays a story; what it says is shown when it goes wrong.
    async fn play(&self, name: &str, pages: &[String]) {
        let folder = installed().await;
        let story = Command::new("node")
            .args(["stories.mjs", name])
            .current_dir(folder)
            .env("PORTAL", self.portal())
            .env("LINKS", self.links.to_string())
            .env("PAGES", json!(pages).to_string())
            .env("SHOTS", &*SHOTS)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let story = timeout(STORY_MAX, story)
            .await
            .expect("the story ends in time");
        let story = story.expect(MISSING);
        let said = String::from_utf8_lossy(&story.stderr);
        assert!(story.status.success(), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_deploys_and_watches_it_go_live() {
    let stage = Stage::new().await;
    stage.play("deploys_and_watches", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_sees_a_bad_release_go_back() {
    let stage = Stage::new().await;
    stage.play("sees_a_bad_release_go_back", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_steers_without_a_script() {
    let stage = Stage::new().await;
    stage.play("steers_without_a_script", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_which_right_is_missing() {
    let stage = Stage::new().await.with_viewer().await;
    stage.play("is_told_what_is_missing", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let stage = Stage::new().await;
    stage.play("needs_no_mouse", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_eighth_tab_answers() {
    let stage = Stage::new().await;
    stage.play("opens_eight_tabs", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_for_everybody() {
    let stage = Stage::new().await;
    let live = [
        "deploy",
        "storefront",
        "1.0.0",
        "-e",
        "staging",
        "--bake",
        "0s",
    ];
    stage.world.ok(&live).await;
    let id = stage.world.begin("1.2.0", &[]).await;
    let pages: Vec<String> = PAGES.iter().map(|path| path.replace("{id}", &id)).collect();
    stage.play("every_page_is_for_everybody", &pages).await;
    stage.world.ok(&["abort", &id]).await;
}

/// What everybody must be able to read.
const PAGES: &[&str] = &[
    "/",
    "/?q=nothing-like-it",
    "/environments",
    "/environments/staging",
    "/services/storefront/staging",
    "/services/storefront/staging/logs",
    "/services/cart/staging",
    "/deploy",
    "/deploy?service=storefront&environment=staging&version=1.1.0",
    "/deploy?service=storefront&environment=staging&version=1.1.0&strategy=canary&surge=x",
    "/deploy?service=storefront&environment=production&version=1.1.0&approve=x&strategy=canary",
    "/services/storefront",
    "/services/storefront/releases",
    "/services/storefront/releases/1.0.0",
    "/deployments",
    "/deployments?state=failed&by=nobody",
    "/catalogue",
    "/catalogue/services",
    "/catalogue/freezes",
    "/catalogue/services/storefront",
    "/catalogue/new?kind=server-groups",
    "/images",
    "/images/patch?ami=latest",
    "/search?q=st",
    "/search?q=nothing-like-it",
    "/deployments/{id}",
    "/deployments/none",
    "/people",
    "/people/admin",
    "/groups",
    "/grants",
    "/may",
    "/tokens",
    "/no-such-page",
];
