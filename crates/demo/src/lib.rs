//! `demo`: everything on one machine, in one command.
//!
//! A control plane and a one-machine cloud start in a temporary folder; a shop is brought up, put
//! under a steady load, patched, and saved from a broken release.
//!
//! Invariant: what was started is ended, however the demo ends, unless `--keep` was asked for.

pub mod latency;
pub mod load;
mod shelf;
pub mod shop;
mod stage;
mod world;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    load::{Counts, Load},
    shelf::{ENVIRONMENT, SERVICE},
    stage::{Act, Record, Stage},
    world::World,
};
use cli::{
    Context,
    client::Client,
    failure::{Exit, Failure},
    output::{self, Format},
    releases,
    screen::Screen,
    style::Style,
    wire::Status,
};

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave everything running at the end, and print how to stop it
    #[arg(long)]
    keep: bool,
    /// Stop what an earlier `demo --keep` left running
    #[arg(long, value_name = "FOLDER", conflicts_with = "keep")]
    stop: Option<PathBuf>,
}

const ACTS: [Act; 3] = [
    Act {
        heading: "The first release",
        text: "Nothing is live yet. Four instances are started and get users once they are healthy.",
        version: "1.0.0",
        outcome: "succeeded",
    },
    Act {
        heading: "A patch, by doubling and halving",
        text: "Four new instances join the four old ones; when they have proved healthy, the old ones go.",
        version: "1.1.0",
        outcome: "succeeded",
    },
    Act {
        heading: "A broken release",
        text: "Its instances start but never become healthy. Nobody is sent there, and it is rolled back.",
        version: "1.2.0",
        outcome: "rolled_back",
    },
];

/// Plays the demo.
///
/// # Errors
/// When something cannot be started, or does not go as said.
pub async fn run(context: &Context, args: &DemoArgs) -> Result<Exit, Failure> {
    if let Some(folder) = &args.stop {
        world::stop(folder).await?;
        context.say("stopped, and the folder is removed");
        return Ok(Exit::Ok);
    }
    let mut world = World::new()?;
    let mut screen = context.screen();
    let stays = !args.keep && context.format == Format::Table && io::stdout().is_terminal();
    let played = tokio::select! {
        played = play(&mut world, &mut screen) => played,
        () = interrupted() => {
            screen.clear();
            Err(Failure::new(Exit::NotReached, "the demo was interrupted"))
        }
    };
    if let (true, Ok(played)) = (stays, &played) {
        tokio::select! {
            () = keep_showing(&mut screen, &played.load) => {}
            () = interrupted() => screen.clear(),
        }
    }
    if args.keep && played.is_ok() {
        tell_kept(&mut screen, world);
    } else {
        screen.log(
            &screen
                .style()
                .dim("\nstopping everything that was started ..."),
        );
        world.stop().await;
        screen.log(
            &screen
                .style()
                .dim("stopped; the temporary folder is removed"),
        );
    }
    let Played {
        records, as_said, ..
    } = played?;
    let result = json!({ "deployments": records });
    match context.format {
        Format::Table => {}
        // On one line, so that it can also be read as the last line of a log.
        Format::Json => output::line(&result.to_string())?,
        Format::Yaml => output::line(output::yaml(&result).trim_end())?,
    }
    Ok(if as_said { Exit::Ok } else { Exit::NotReached })
}

/// What became of the demo.
struct Played {
    records: Vec<Record>,
    as_said: bool,
    load: Option<Load>,
}

/// Every deployment ended as its act says, no request failed, and the last good release is live
/// with all its instances.
fn as_said(records: &[Record], status: &Status) -> bool {
    let ended = ACTS.iter().zip(records).all(|(act, record)| {
        record.outcome == act.outcome && record.requests > 0 && record.failed == 0
    });
    let last_good = ACTS
        .iter()
        .rfind(|act| act.outcome == "succeeded")
        .map(|act| act.version);
    let live = status.live.as_ref().map(|live| live.version.as_str());
    let instances = status
        .observation
        .as_ref()
        .map_or(&[][..], |seen| &seen.instances);
    let whole = instances.len() == shelf::SIZE
        && instances
            .iter()
            .all(|i| i.state == "healthy" && Some(i.version.as_str()) == last_good);
    ended && records.len() == ACTS.len() && live == last_good && whole
}

/// Plays all acts, until one does not go as said.
async fn play(world: &mut World, screen: &mut Screen) -> Result<Played, Failure> {
    let client = prepare(world, screen).await?;
    let mut stage = Stage {
        client: &client,
        screen,
        load: None,
    };
    let mut records = Vec::new();
    for (index, act) in ACTS.iter().enumerate() {
        let record = stage.play(index + 1, act).await?;
        let as_said = record.outcome == act.outcome;
        records.push(record);
        if !as_said {
            break;
        }
    }
    let status = stage.status().await?;
    let played = Played {
        as_said: as_said(&records, &status),
        records,
        load: stage.load.take(),
    };
    let portal = sign_in_link(&client).await?;
    close(&mut stage, world, (&status, &portal), &played);
    Ok(played)
}

/// Starts everything, and fills the catalogue.
async fn prepare(world: &mut World, screen: &mut Screen) -> Result<Client, Failure> {
    let style = screen.style();
    screen.log(&style.bold("Pointsman on this machine"));
    screen.log(&style.dim(&format!(
        "   everything is in {}\n",
        world.folder().display()
    )));
    let client = world.start().await?;
    let done = |name: &str, text: &str| format!("  {} {name:14} {text}", style.green("✔"));
    screen.log(&done("control plane", &style.cyan(client.address())));
    let portal = sign_in_link(&client).await?;
    screen.log(&done("portal", &style.cyan(&portal)));
    screen.log(
        &style.dim("                   open it in a browser and watch; the link signs you in once"),
    );
    let program = std::env::current_exe()
        .map_err(|error| Failure::usage("this program cannot be found").because(error))?;
    let entries = shelf::catalogue(&program)?;
    let count = entries.len();
    client
        .post(client.url(&["manifests"]), &Value::Array(entries))
        .await?;
    screen.log(&done(
        "catalogue",
        &format!("{count} entries from examples/shop"),
    ));
    let mut versions = Vec::new();
    for (version, folder) in shelf::releases(world.folder())? {
        releases::upload(&client, SERVICE, version, folder).await?;
        versions.push(version);
    }
    screen.log(&done(
        "releases",
        &format!("{SERVICE} {}", versions.join(", ")),
    ));
    Ok(client)
}

/// The address of the portal that signs in the one who opens it.
async fn sign_in_link(client: &Client) -> Result<String, Failure> {
    let url = client.url(&["me", "sign-in-link"]);
    let made: Value = client.post(url, &json!({})).await?.body;
    Ok(made["url"].as_str().unwrap_or_default().to_owned())
}

/// The closing page: what happened, where everything is, and what to type next.
fn close(stage: &mut Stage<'_>, world: &World, (status, portal): (&Status, &str), played: &Played) {
    let style = stage.screen.style();
    let heading = if played.as_said {
        style.green("All went as it should.")
    } else {
        style.red("This did not go as it should.")
    };
    let mut lines = vec![String::new(), heading, String::new()];
    for record in &played.records {
        let outcome = record.outcome.replace('_', " ");
        lines.push(format!(
            "  {:8}{outcome:13}{:>8}  {:>7} requests  {} failed",
            record.release,
            stage::took(record),
            record.requests,
            record.failed
        ));
    }
    lines.push(String::new());
    lines.extend(addresses(stage.client, (status, portal), style));
    lines.push(String::new());
    lines.extend(next(world, style));
    lines.push(String::new());
    stage.screen.log(&lines.join("\n"));
}

fn addresses(client: &Client, (status, portal): (&Status, &str), style: Style) -> Vec<String> {
    let url = status.url.clone().unwrap_or_default();
    let docs = format!("{}/docs", client.address());
    vec![
        format!("  {}  {}", style.dim("the shop "), style.cyan(&url)),
        format!("  {}  {}", style.dim("portal   "), style.cyan(portal)),
        format!("  {}  {}", style.dim("API page "), style.cyan(&docs)),
    ]
}

/// What to type next, in another terminal.
fn next(world: &World, style: Style) -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("pointsman"));
    let program = program.display();
    let place = format!("{SERVICE} -e {ENVIRONMENT}");
    let mut lines = vec![
        style.dim("  in another terminal:"),
        format!("    export POINTSMAN_DATA={}", world.data().display()),
        format!("    alias pointsman={program}"),
    ];
    for command in [
        format!("pointsman status {place}"),
        format!("pointsman plan {SERVICE} 1.0.0 -e {ENVIRONMENT}"),
        format!("pointsman deploy {SERVICE} 1.0.0 -e {ENVIRONMENT}"),
        format!("pointsman rollback {place}"),
        format!("pointsman logs {place}"),
        "pointsman audit verify".to_owned(),
    ] {
        lines.push(format!("    {command}"));
    }
    lines
}

/// Shows the load until the end of time.
async fn keep_showing(screen: &mut Screen, load: &Option<Load>) {
    let style = screen.style();
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
    loop {
        tick.tick().await;
        let mut lines = Vec::new();
        if let Some(load) = load {
            lines.push(stage::requests(load, &Counts::default(), style));
        }
        lines.push(format!(
            "  {} {}",
            style.dim("stop  "),
            style.bold("Ctrl-C")
        ));
        screen.draw(&lines);
    }
}

fn tell_kept(screen: &mut Screen, world: World) {
    let folder = world.keep();
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("pointsman"));
    screen.log(&format!(
        "everything is left running; end it with\n    {} demo --stop {}",
        program.display(),
        folder.display()
    ));
}

/// Ctrl-C, or a polite request to end.
async fn interrupted() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        // Without handlers the signals end this process at once, which is what they are for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
