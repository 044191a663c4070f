//! Every command that `--help` lists is run as it is written, and its results are looked at.

use std::{collections::BTreeSet, fs};

use clap::{Command, CommandFactory};
use pointsman::commands::Cli;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::world::{PLACE, WAIT_MAX, World, group, shop};

/// Commands that other tests run, or that run for ever.
const ELSEWHERE: [&str; 15] = [
    "server",
    "local",
    "router",
    "demo",
    "pause",
    "resume",
    "abort",
    "rollback",
    "watch",
    "approve",
    "reject",
    "promote",
    "switch",
    "pass",
    "shop-server",
];

/// The paths of all commands, such as `release create`.
fn paths(command: &Command, before: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for sub in command.get_subcommands() {
        let path = format!("{before}{}", sub.get_name());
        if sub.has_subcommands() {
            found.extend(paths(sub, &format!("{path} ")));
        } else {
            found.insert(path);
        }
    }
    found
}

/// Runs commands and remembers which.
struct Tour {
    world: World,
    run: BTreeSet<String>,
    all: BTreeSet<String>,
}

impl Tour {
    fn remember(&mut self, args: &[&str]) {
        let one = args[0].to_owned();
        let two = args[..args.len().min(2)].join(" ");
        let known = if self.all.contains(&two) { two } else { one };
        self.run.insert(known);
    }

    /// Runs a command in each output format.
    async fn shows(&mut self, args: &[&str], expected: &str) {
        self.remember(args);
        let table = self.world.ok(args).await;
        assert!(
            table.contains(expected),
            "{args:?} should tell {expected:?}: {table}"
        );
        self.world.json(args).await;
        let yaml = self.world.ok(&[args, &["-o", "yaml"]].concat()).await;
        let read: Result<serde_json::Value, _> = serde_saphyr::from_str(&yaml);
        assert!(read.is_ok(), "{args:?}: {yaml}");
    }

    async fn does(&mut self, args: &[&str], expected: &str) {
        self.remember(args);
        let ran = self.world.cli(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {ran:#?}");
        assert!(
            ran.stdout.contains(expected),
            "{args:?} should tell {expected:?}: {ran:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_does_what_its_help_says() {
    let command = Cli::command();
    let all: BTreeSet<String> = paths(&command, "")
        .into_iter()
        .filter(|path| !ELSEWHERE.contains(&path.as_str()))
        .collect();
    let mut tour = Tour {
        world: World::empty().await,
        run: BTreeSet::new(),
        all: all.clone(),
    };
    catalogue(&mut tour).await;
    releases(&mut tour).await;
    deployments(&mut tour).await;
    freezes(&mut tour).await;
    others(&mut tour).await;
    endings(&mut tour).await;
    let missing: Vec<_> = all.difference(&tour.run).collect();
    assert!(
        missing.is_empty(),
        "commands that no test runs: {missing:?}"
    );
}

async fn catalogue(tour: &mut Tour) {
    let folder = shop("");
    tour.world.fails(&["diff", "-f", &folder], 1).await;
    tour.does(&["apply", "-f", &folder], "Service storefront created")
        .await;
    tour.does(&["diff", "-f", &folder], "no differences").await;
    tour.world.apply(&group("storefront", "staging")).await;
    tour.world.fails(&["diff", "-f", &folder], 1).await;
    tour.shows(&["team", "list"], "shop@example.com").await;
    tour.shows(&["team", "get", "shop"], "kind: Team").await;
    tour.shows(&["service", "list"], "storefront").await;
    tour.shows(&["service", "get", "cart"], "kind: Service")
        .await;
    tour.shows(&["environment-type", "list"], "production")
        .await;
    tour.shows(
        &["environment-type", "get", "staging"],
        "kind: EnvironmentType",
    )
    .await;
    tour.shows(&["environment", "list"], "staging").await;
    tour.shows(&["environment", "get", "staging"], "capacity_limit: 24")
        .await;
    tour.shows(&["server-group", "list"], "/health").await;
    tour.shows(
        &["server-group", "get", "cart.staging"],
        "kind: ServerGroup",
    )
    .await;
    // What `get` prints can be applied again, and changes nothing.
    tour.shows(&["get", "server-group", "cart.staging"], "size: 4")
        .await;
    let manifest = tour
        .world
        .ok(&["get", "server-group", "cart.staging"])
        .await;
    let file = tour.world.folder().join("again.yaml");
    fs::write(&file, manifest).expect("written");
    tour.does(
        &["diff", "-f", file.to_str().expect("text")],
        "no differences",
    )
    .await;
    tour.world.fails(&["delete", "team", "shop"], 3).await;
    tour.does(&["delete", "server-group", "cart.staging"], "deleted")
        .await;
    tour.world
        .fails(&["get", "server-group", "cart.staging"], 1)
        .await;
    tour.world.fails(&["apply", "-f", "/nothing/here"], 2).await;
    tour.does(
        &["environment", "lock", "staging", "-r", "dinner"],
        "locked",
    )
    .await;
    tour.shows(&["environment", "list"], "staging").await;
    tour.does(&["environment", "unlock", "staging"], "unlocked")
        .await;
}

async fn releases(tour: &mut Tour) {
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let folder = shop(&format!("releases/storefront/{version}"));
        let args = [
            "release",
            "create",
            "storefront",
            version,
            "--artifact",
            &folder,
        ];
        tour.does(&args, "created").await;
        tour.does(&args, "already exists").await;
    }
    let other = shop("releases/storefront/1.1.0");
    let args = [
        "release",
        "create",
        "storefront",
        "1.0.0",
        "--artifact",
        &other,
    ];
    tour.world.fails(&args, 3).await;
    let image = ["release", "create", "storefront", "2.0.0", "--image"];
    let args = [&image[..], &["ami-0123456789abcdef0"]].concat();
    tour.does(&args, "created storefront 2.0.0 (ami-0123456789abcdef0)")
        .await;
    tour.does(&args, "already exists").await;
    let both = [&args[..], &["--artifact", &other]].concat();
    tour.world.fails(&both, 2).await;
    tour.world.fails(&image[..4], 2).await;
    tour.world
        .fails(&[&image[..], &["ubuntu"]].concat(), 2)
        .await;
    tour.shows(&["release", "list", "storefront"], "ami-0123456789abcdef0")
        .await;
    tour.shows(&["release", "list", "storefront"], "1.1.0")
        .await;
    tour.shows(&["release", "get", "storefront", "1.0.0"], "digest")
        .await;
    tour.does(
        &["release", "withdraw", "storefront", "1.2.0", "-r", "broken"],
        "withdrew",
    )
    .await;
    tour.shows(&["release", "list", "storefront"], "broken")
        .await;
}

async fn deployments(tour: &mut Tour) {
    let staging = ["-e", "staging"];
    tour.shows(
        &[&["plan", "storefront", "1.0.0"], &staging[..]].concat(),
        "instances at the peak",
    )
    .await;
    let deploy = ["deploy", "storefront", "1.0.0", "-e", "staging"];
    tour.does(&[&deploy[..], &["--dry-run"]].concat(), "way back")
        .await;
    tour.does(&deploy, "1.0.0 is live").await;
    tour.shows(&[&["status"], &PLACE[..]].concat(), "1.0.0")
        .await;
    tour.shows(&["status", "-e", "staging"], "4 of 4").await;
    tour.shows(&[&["slices"], &PLACE[..]].concat(), "1.0.0")
        .await;
    tour.shows(&["deployment", "list"], "succeeded").await;
    let list = tour
        .world
        .json(&["deployment", "list", "--service", "storefront"])
        .await;
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    tour.shows(&["deployment", "get", &id], "succeeded").await;
    tour.does(&["watch", &id], "1.0.0 is live").await;
    tour.shows(&["looks", &id], "no gate has been measured")
        .await;
    tour.does(
        &[&["logs"], &PLACE[..]].concat(),
        "storefront 1.0.0 listens on",
    )
    .await;
    follows_logs(&tour.world).await;
    tour.shows(&["audit", "list"], "deployment").await;
    tour.shows(&["audit", "verify"], "checked").await;
    tour.shows(&["audit", "head"], ":").await;
    let shells = ["bash", "zsh", "fish"];
    for shell in shells {
        tour.does(&["completions", shell], "pointsman").await;
    }
}

/// A freeze that is far away, and so keeps nothing from being deployed.
async fn freezes(tour: &mut Tour) {
    let manifest = serde_json::json!({
        "kind": "Freeze",
        "name": "year-end",
        "from": "2099-12-20T18:00:00Z",
        "until": "2100-01-03T00:00:00Z",
        "environments": ["staging"],
        "reason": "the shop is full",
    });
    tour.world.apply(&manifest).await;
    tour.shows(&["freeze", "list"], "year-end").await;
    tour.shows(&["freeze", "get", "year-end"], "the shop is full")
        .await;
    tour.does(&["delete", "freeze", "year-end"], "").await;
}

/// People, what is granted to them, and their tokens.
async fn people(tour: &mut Tour) {
    tour.does(&["user", "create", "carol"], "pm_").await;
    tour.does(&["user", "invite", "carol"], "pm_").await;
    tour.shows(&["user", "list"], "carol").await;
    tour.remember(&["login"]);
    let refused = tour.world.fails(&["login"], 5).await;
    assert!(refused.contains("did not match"), "{refused}");
    tour.does(&["group", "create", "sellers"], "").await;
    tour.shows(&["group", "list"], "sellers").await;
    tour.does(&["group", "add", "sellers", "carol"], "").await;
    tour.shows(&["group", "members", "sellers"], "carol").await;
    tour.does(&["group", "remove", "sellers", "carol"], "")
        .await;
    tour.does(&["group", "delete", "sellers"], "").await;
    tour.remember(&["grant", "create"]);
    let grant = tour.world.ok(&["grant", "create", "viewer", "carol"]).await;
    tour.shows(&["grant", "list"], "carol").await;
    tour.shows(&["may", "carol", "view", "shop.staging"], "yes")
        .await;
    tour.world.fails(&["may", "carol", "deploy"], 1).await;
    tour.does(&["grant", "remove", grant.trim()], "").await;
    tour.does(&["user", "disable", "carol"], "").await;
    tour.does(&["user", "enable", "carol"], "").await;
    tour.shows(&["session", "list"], "").await;
    tour.does(&["session", "end", "--all"], "").await;
    tour.does(&["session", "link"], "pm_").await;
    tour.does(&["token", "create", "ci"], "pm_").await;
    tour.shows(&["token", "list"], "ci").await;
    let tokens = tour.world.json(&["token", "list"]).await;
    let id = tokens[0]["id"].as_str().expect("an id").to_owned();
    tour.does(&["token", "revoke", &id], "").await;
}

/// Who may use the server, and whom its gates may ask.
/// Servers by name. The data folder says which server is meant here, so none of them is asked.
async fn contexts(tour: &mut Tour) {
    let add = ["context", "add"];
    for (name, server) in [
        ("one", "https://one.example"),
        ("two", "https://two.example"),
    ] {
        let added = [&add[..], &[name, "--server", server]].concat();
        tour.does(&added, "is added").await;
    }
    tour.shows(&["context", "list"], "https://one.example")
        .await;
    tour.does(&["context", "use", "two"], "two is in use").await;
    tour.does(&["context", "remove", "one"], "one is removed")
        .await;
    tour.world.fails(&["context", "use", "one"], 2).await;
}

async fn others(tour: &mut Tour) {
    tour.shows(&["images"], "nothing to show").await;
    let patch = ["patch", "--ami", "latest", "-e", "staging"];
    tour.shows(
        &[&patch[..], &["--dry-run"]].concat(),
        "ignored: it is not on AWS",
    )
    .await;
    tour.does(&patch, "nothing to patch").await;
    tour.world.fails(&["images", "--account", "eu"], 1).await;
    tour.world.fails(&["patch", "--ami", "newest"], 2).await;
    people(tour).await;
    contexts(tour).await;
    let manifest = serde_json::json!({
        "kind": "Prometheus",
        "name": "main",
        "url": "http://127.0.0.1:9090",
    });
    tour.world.apply(&manifest).await;
    tour.shows(&["prometheus", "list"], "main").await;
    tour.shows(&["prometheus", "get", "main"], "9090").await;
    let manifest = serde_json::json!({
        "kind": "Account",
        "name": "production-eu",
        "provider": "aws",
        "region": "eu-west-1",
    });
    tour.world.apply(&manifest).await;
    tour.shows(&["account", "list"], "eu-west-1").await;
    tour.shows(&["account", "get", "production-eu"], "kind: Account")
        .await;
    tour.does(&["delete", "account", "production-eu"], "").await;
    let here = serde_json::json!({ "kind": "Account", "name": "here", "provider": "local" });
    tour.world.apply(&here).await;
    tour.shows(&["doctor"], "✔ this machine").await;
    let import = [
        "import",
        "asg",
        "web",
        "--account",
        "here",
        "-s",
        "storefront",
        "-e",
        "staging",
    ];
    tour.remember(&import);
    let refused = tour.world.fails(&import, 3).await;
    assert!(refused.contains("not offered there"), "{refused}");
    let policy = ["doctor", "here", "--policy"];
    let refused = tour.world.fails(&policy, 3).await;
    assert!(refused.contains("not offered there"), "{refused}");
}

/// `logs --follow` prints what is there, and stays.
async fn follows_logs(world: &World) {
    let mut following = world.start(&[&["logs", "--follow"], &PLACE[..]].concat());
    let stdout = following.stdout.take().expect("piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(WAIT_MAX, lines.next_line()).await.expect("in time");
    assert!(
        line.expect("readable")
            .is_some_and(|line| line.contains("listens on"))
    );
    assert!(following.try_wait().expect("known").is_none(), "it ended");
}

/// Errors say what happened, why and what to type next, with the documented exit codes.
async fn endings(tour: &mut Tour) {
    let world = &tour.world;
    world.fails(&["deploy", "storefront"], 2).await;
    world
        .fails(
            &[
                "deploy",
                "storefront",
                "1.1.0",
                "-e",
                "staging",
                "--surge",
                "0%",
            ],
            2,
        )
        .await;
    world.fails(&["service", "get", "Not-A-Name"], 1).await;
    let away = world
        .fails(&["--server", "http://127.0.0.1:9", "service", "list"], 4)
        .await;
    assert!(away.contains("pointsman server"), "{away}");
    let wrong = world.folder().join("wrong-token");
    fs::write(&wrong, "wrong").expect("written");
    let wrong = wrong.to_str().expect("text");
    let refused = world
        .fails(&["--token-file", wrong, "service", "list"], 5)
        .await;
    assert!(refused.contains("token"), "{refused}");
    let far = world
        .fails(
            &[
                "--server",
                "http://192.0.2.1",
                "--token-file",
                wrong,
                "team",
                "list",
            ],
            2,
        )
        .await;
    assert!(far.contains("https"), "{far}");
}
