//! What is watched now: each deployment is read and rendered once, however many look at it.
//!
//! Invariant: a task lives as long as somebody watches, and reads with the desk of somebody who does. When it
//! ends, everybody's stream ends, and who still watches comes again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::response::sse::Event;
use domain::{
    names::{DeploymentId, Place},
    observation::{InstanceId, InstanceState},
};
use futures_util::{Stream, StreamExt, stream};
use operations::{Desk, deployments::Listed};
use tokio::sync::watch;

use crate::portal::deployment::{Fragment, Powers, Samples, Seen, pressed, shared};

/// How often a deployment is read while somebody watches and nothing is said to have happened.
const LOOK: Duration = Duration::from_secs(2);
/// What happens within this time is shown together.
const TOGETHER: Duration = Duration::from_millis(150);
/// How often what has no events of its own is compared.
const COMPARED: Duration = Duration::from_secs(2);
/// Deployments whose states the overview follows.
const RUNNING_MAX: u32 = 100;

/// What is watched now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    topics: Arc<Mutex<BTreeMap<DeploymentId, Channel>>>,
    /// What routers counted of the deployments that were watched lately.
    pub(in crate::portal) samples: Samples,
}

/// One deployment that is watched.
#[derive(Debug, Clone)]
struct Channel {
    /// What was read last; closed when nothing more is read.
    shown: watch::Receiver<Option<Arc<Shown>>>,
    watchers: Watchers,
}

impl Channel {
    fn is_open(&self) -> bool {
        self.shown.has_changed().is_ok() && self.watchers.first().is_some()
    }
}

/// The desks of those who watch, as long as they do.
#[derive(Debug, Clone, Default)]
struct Watchers(Arc<Mutex<Vec<Weak<Desk>>>>);

impl Watchers {
    fn add(&self, desk: &Arc<Desk>) {
        let mut all = locked(&self.0);
        all.retain(|desk| desk.strong_count() > 0);
        all.push(Arc::downgrade(desk));
    }

    /// The desk of one who watches; `None`: nobody does.
    fn first(&self) -> Option<Arc<Desk>> {
        locked(&self.0).iter().find_map(Weak::upgrade)
    }

    fn remove(&self, desk: &Arc<Desk>) {
        let gone = Arc::downgrade(desk);
        locked(&self.0).retain(|desk| !desk.ptr_eq(&gone));
    }
}

/// A deployment as it was read last, and what is the same for everybody.
#[derive(Debug)]
struct Shown {
    seen: Seen,
    fragments: Vec<Fragment>,
    /// What somebody can press, by their powers; rendered when the first of a kind asks.
    pressed: Mutex<BTreeMap<Powers, Fragment>>,
}

impl Shown {
    fn of(seen: Seen) -> Self {
        Self {
            fragments: shared(&seen),
            seen,
            pressed: Mutex::default(),
        }
    }

    fn for_powers(&self, powers: Powers) -> Vec<Fragment> {
        let mut pressed_by = locked(&self.pressed);
        let own = pressed_by
            .entry(powers)
            .or_insert_with(|| pressed(&self.seen, powers))
            .clone();
        self.fragments.iter().cloned().chain([own]).collect()
    }
}

impl Hub {
    /// The fragments of a deployment that differ from what was sent before, until it ended.
    pub(super) fn deployment(
        &self,
        desk: Desk,
        id: DeploymentId,
    ) -> impl Stream<Item = Event> + use<> {
        let hub = self.clone();
        let topic = format!("deployment:{id}");
        let start = async move {
            let deployment = desk.deployment(&id).await.ok()?;
            let powers = Powers::of(&desk, &deployment).await.ok()?;
            let desk = Arc::new(desk);
            Some(Watching {
                shown: hub.watched(&id, &desk),
                _desk: desk,
                powers,
                sent: BTreeMap::new(),
                topic,
                ended: false,
            })
        };
        stream::once(start)
            .filter_map(std::future::ready)
            .flat_map(|watching| stream::unfold(watching, Watching::next))
    }

    /// Says that the overview looks different, whenever it does.
    pub(super) fn overview(&self, desk: Desk) -> impl Stream<Item = Event> + use<> {
        changes("overview".to_owned(), move || states(desk.clone()))
    }

    /// Says that a server group looks different, whenever it does.
    pub(super) fn group(&self, desk: Desk, place: Place) -> impl Stream<Item = Event> + use<> {
        changes(format!("group:{place}"), move || {
            instances(desk.clone(), place.clone())
        })
    }

    /// What is read of a deployment, for one more who watches it.
    fn watched(&self, id: &DeploymentId, desk: &Arc<Desk>) -> watch::Receiver<Option<Arc<Shown>>> {
        let mut topics = locked(&self.topics);
        topics.retain(|_, channel| channel.is_open());
        if let Some(channel) = topics.get(id) {
            channel.watchers.add(desk);
            return channel.shown.clone();
        }
        let (sender, shown) = watch::channel(None);
        let watchers = Watchers::default();
        watchers.add(desk);
        let channel = Channel {
            shown: shown.clone(),
            watchers: watchers.clone(),
        };
        topics.insert(id.clone(), channel);
        let samples = self.samples.clone();
        tokio::spawn(look_while_watched(sender, watchers, id.clone(), samples));
        shown
    }
}

/// Reads a deployment whenever something happened to it, until nobody watches, nobody may, or it ended.
async fn look_while_watched(
    shown: watch::Sender<Option<Arc<Shown>>>,
    watchers: Watchers,
    id: DeploymentId,
    samples: Samples,
) {
    while let Some(desk) = watchers.first() {
        match Seen::read(&desk, &id, &samples).await {
            Ok(seen) => {
                let (ended, last) = (seen.deployment.ending.is_some(), seen.last());
                shown.send_replace(Some(Arc::new(Shown::of(seen))));
                if ended {
                    return;
                }
                happened(&desk, &id, last).await;
            }
            Err(error) => {
                tracing::debug!(%error, "somebody watches a deployment without being able to");
                watchers.remove(&desk);
            }
        }
    }
}

/// Ready when something happened to the deployment after the event `last`, or it is time to look at its
/// instances.
async fn happened(desk: &Desk, id: &DeploymentId, last: i64) {
    match desk.follow(id, last).await {
        Ok(events) => {
            let mut events = std::pin::pin!(events);
            if tokio::time::timeout(LOOK, events.next()).await.is_ok() {
                tokio::time::sleep(TOGETHER).await;
            }
        }
        Err(_) => tokio::time::sleep(LOOK).await,
    }
}

/// One who watches a deployment.
struct Watching {
    /// The task reads with it as long as this one watches.
    _desk: Arc<Desk>,
    shown: watch::Receiver<Option<Arc<Shown>>>,
    powers: Powers,
    sent: BTreeMap<&'static str, String>,
    topic: String,
    ended: bool,
}

impl Watching {
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if self.ended {
                return None;
            }
            let shown = self.shown.borrow_and_update().clone();
            if let Some(shown) = shown {
                self.ended = shown.seen.deployment.ending.is_some();
                let html = self.changed(&shown);
                if !html.is_empty() {
                    let event = Event::default().event("fragments");
                    return Some((event.data(format!("{}\n{html}", self.topic)), self));
                }
            }
            if !self.ended {
                self.shown.changed().await.ok()?;
            }
        }
    }

    /// What was not sent like this before.
    fn changed(&mut self, shown: &Shown) -> String {
        let mut html = String::new();
        for fragment in shown.for_powers(self.powers) {
            if self.sent.get(fragment.id) != Some(&fragment.html) {
                html.push_str(&fragment.html.replace('\r', ""));
                self.sent.insert(fragment.id, fragment.html);
            }
        }
        html
    }
}

/// An event whenever what `read` tells is not what it told before; it ends when nothing can be told.
fn changes<T, F>(topic: String, read: impl Fn() -> F) -> impl Stream<Item = Event>
where
    T: PartialEq,
    F: Future<Output = Option<T>>,
{
    stream::unfold((topic, read, None), |(topic, read, before)| async move {
        let mut before: Option<T> = before;
        loop {
            let now = read().await?;
            if before.as_ref().is_some_and(|before| *before != now) {
                let event = Event::default().event("changed").data(&topic);
                return Some((event, (topic, read, Some(now))));
            }
            before = Some(now);
            tokio::time::sleep(COMPARED).await;
        }
    })
}

/// What the overview would show of deployments; `None` when it cannot be told.
async fn states(desk: Desk) -> Option<Vec<(DeploymentId, usize, String)>> {
    let listed = Listed {
        unfinished: true,
        ..Listed::default()
    };
    let running = desk.deployments(&listed, None, RUNNING_MAX).await.ok()?;
    let states = running.items.into_iter().map(|it| {
        let waiting = it.waiting.as_ref().map_or("", |waiting| waiting.as_str());
        let status = format!("{} {waiting}", it.status());
        (it.id, it.progress.at, status)
    });
    Some(states.collect())
}

/// What a server group would show of its instances; `None` when it cannot be told.
async fn instances(
    desk: Desk,
    place: Place,
) -> Option<Vec<(u8, Vec<(InstanceId, InstanceState)>)>> {
    let slices = desk.slices(place).await.ok()?;
    let slices = slices.slices.into_iter().map(|slice| {
        let instances = slice.seen.instances.into_iter();
        let instances = instances.map(|instance| (instance.id, instance.state));
        (slice.weight, instances.collect())
    });
    Some(slices.collect())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
