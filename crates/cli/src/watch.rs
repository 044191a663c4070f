//! Watches a deployment until it ends: every event as a line, and in a terminal a live picture.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    client::Client,
    failure::{Exit, Failure},
    follow::{self, Update},
    live::{Snapshot, verdict_sign},
    screen::Screen,
    waits,
    wire::{Deployment, Event, Look, Status},
};

/// Between two pictures.
const DRAW: Duration = Duration::from_millis(100);
/// Between two looks at what runs.
const LOOK: Duration = Duration::from_millis(300);
/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// How to watch.
pub struct Watching<'a> {
    /// Whom to ask.
    pub client: &'a Client,
    /// Where to draw.
    pub screen: &'a mut Screen,
    /// More lines for the picture, such as counters of requests.
    pub more: &'a dyn Fn() -> Vec<String>,
}

/// Watches `deployment` until it ends, and gives its last state.
///
/// # Errors
/// When the server says no, or is away for too long.
pub async fn watch(watching: Watching<'_>, deployment: Deployment) -> Result<Deployment, Failure> {
    let Watching {
        client,
        screen,
        more,
    } = watching;
    let started = Instant::now();
    let mut updates = follow::follow(client.clone(), deployment.id.clone());
    let (looks, looker) = look(client.clone(), deployment);
    let mut verdicts = Verdicts::default();
    let mut tick = interval(DRAW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let ended = loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(Update::Ended(deployment)) => break Ok(*deployment),
                Some(Update::Failed(failure)) => break Err(failure),
                Some(update) => {
                    let line = told(&update, screen, &mut verdicts);
                    if let Some(line) = line { screen.log(&line); }
                }
                None => break Err(Failure::new(Exit::NotReached, "lost the event stream")),
            },
            _ = tick.tick(), if screen.is_live() => {
                let mut lines = looks.borrow().lines(started.elapsed(), screen.style());
                lines.extend(more());
                screen.draw(&lines);
            }
        }
    };
    looker.abort();
    screen.clear();
    ended
}

/// What the gates were last seen to say. Gates are looked at every second; only a change is told.
#[derive(Debug, Default)]
pub(super) struct Verdicts(BTreeMap<(Option<usize>, usize), String>);

impl Verdicts {
    /// The look differs from the one before; a gate begins open.
    fn changed(&mut self, step: Option<usize>, look: &Look) -> bool {
        let before = self.0.insert((step, look.gate), look.verdict.clone());
        before.as_deref().unwrap_or("open") != look.verdict
    }
}

/// Looks again and again at the deployment and at what runs, until aborted.
fn look(
    client: Client,
    deployment: Deployment,
) -> (watch::Receiver<Snapshot>, tokio::task::JoinHandle<()>) {
    let first = Snapshot {
        deployment,
        status: Status::default(),
    };
    let (sender, receiver) = watch::channel(first.clone());
    let looker = tokio::spawn(async move {
        let mut snapshot = first;
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // What cannot be read now is shown as it was; the event stream tells about outages.
            if let Ok(Ok(newer)) = timeout(LOOK_MAX, refresh(&client, &snapshot)).await {
                snapshot = newer;
                sender.send_replace(snapshot.clone());
            }
        }
    });
    (receiver, looker)
}

async fn refresh(client: &Client, old: &Snapshot) -> Result<Snapshot, Failure> {
    let Deployment {
        id,
        service,
        environment,
        ..
    } = &old.deployment;
    let deployment: Deployment = client.get(client.url(&["deployments", id])).await?;
    let url = client.url(&["environments", environment, "services", service]);
    let status: Status = client.get(url).await?;
    Ok(Snapshot { deployment, status })
}

/// An update as a line that stays.
pub(super) fn told(update: &Update, screen: &Screen, verdicts: &mut Verdicts) -> Option<String> {
    let style = screen.style();
    match update {
        Update::Event(Event {
            look: Some(look),
            step,
            sentence,
            ..
        }) => verdicts
            .changed(*step, look)
            .then(|| format!("  {} {sentence}", verdict_sign(&look.verdict, style))),
        Update::Event(event) => event_line(event, screen),
        Update::Lost => Some(style.yellow("  the server does not answer; reconnecting")),
        Update::Back => Some(style.dim("  reconnected to the server")),
        Update::Ended(_) | Update::Failed(_) => None,
    }
}

/// In a terminal, what it waits for and what it asks for is in the picture; only turns are lines.
fn event_line(event: &Event, screen: &Screen) -> Option<String> {
    let style = screen.style();
    let quiet = matches!(
        event.event.as_str(),
        "requested" | "recorded" | "applied" | "waiting"
    );
    if quiet && screen.is_live() {
        return None;
    }
    let text = match &event.waiting {
        Some(waiting) => waits::line(waiting, Timestamp::now()),
        None => event.sentence.clone(),
    };
    Some(match event.event.as_str() {
        "step_started" => format!("  {} {text}", style.cyan("→")),
        "rolling_back" => format!("  {} {}", style.yellow("↩"), style.yellow(&text)),
        "finished" => format!("  {} {text}", style.bold("■")),
        "commanded" => format!("  {} {text}", style.yellow("!")),
        _ => format!("  {} {}", style.dim("·"), style.dim(&text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_told_when_its_verdict_changes() {
        let mut verdicts = Verdicts::default();
        let mut told = |step, verdict: &str| {
            let look = Look {
                gate: 0,
                verdict: verdict.to_owned(),
            };
            verdicts.changed(Some(step), &look)
        };
        let seen = [
            told(2, "open"),
            told(2, "open"),
            told(2, "met"),
            told(2, "met"),
            told(4, "open"),
            told(4, "failed"),
        ];
        assert_eq!(seen, [false, false, true, false, false, true]);
    }
}
