//! Follows a deployment by its event stream, over lost connections and restarts of the server.
//!
//! Invariant: every event is told once and in order; the end is read from the deployment itself,
//! never guessed from events.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, header};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    client::Client,
    failure::{Exit, Failure},
    sse,
    wire::{Deployment, Event},
};

/// How long a stream may be silent before it counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long the server may be away before following gives up.
const AWAY_MAX: Duration = Duration::from_secs(300);
/// Between two attempts to reach it again.
const RETRY: Duration = Duration::from_millis(300);

/// What a follower learns.
#[derive(Debug)]
pub enum Update {
    /// Something happened.
    Event(Event),
    /// The connection was lost; it is being sought again.
    Lost,
    /// The connection is back.
    Back,
    /// The deployment ended.
    Ended(Box<Deployment>),
    /// Following is impossible.
    Failed(Failure),
}

/// Follows deployment `id` until it ends. The channel ends after [`Update::Ended`] or
/// [`Update::Failed`]; dropping the receiver ends the following.
#[must_use]
pub fn follow(client: Client, id: String) -> mpsc::Receiver<Update> {
    let (updates, receiver) = mpsc::channel(64);
    let mut follower = Follower {
        client,
        id,
        last: None,
        updates,
        lost_at: None,
    };
    tokio::spawn(async move {
        let last = match follower.run().await {
            Ok(deployment) => Update::Ended(Box::new(deployment)),
            Err(failure) => Update::Failed(failure),
        };
        // Nobody listens any more: then nobody misses it.
        let _ = follower.updates.send(last).await;
    });
    receiver
}

struct Follower {
    client: Client,
    id: String,
    last: Option<String>,
    updates: mpsc::Sender<Update>,
    lost_at: Option<Instant>,
}

impl Follower {
    async fn run(&mut self) -> Result<Deployment, Failure> {
        loop {
            match self.stream().await {
                Ok(()) => {}
                Err(failure) if failure.exit == Exit::Unreachable => self.lost(failure).await?,
                Err(failure) => return Err(failure),
            }
            match self.finished().await {
                Ok(Some(deployment)) => return Ok(deployment),
                Ok(None) => {}
                Err(failure) if failure.exit == Exit::Unreachable => self.lost(failure).await?,
                Err(failure) => return Err(failure),
            }
            if self.updates.is_closed() {
                return Err(Failure::new(Exit::NotReached, "the watch has ended"));
            }
            sleep(RETRY).await;
        }
    }

    async fn finished(&self) -> Result<Option<Deployment>, Failure> {
        let url = self.client.url(&["deployments", &self.id]);
        let deployment: Deployment = self.client.get(url).await?;
        Ok(deployment.is_finished().then_some(deployment))
    }

    /// Reads the stream until it ends or breaks.
    async fn stream(&mut self) -> Result<(), Failure> {
        let url = self.client.url(&["deployments", &self.id, "events"]);
        let mut request = self
            .client
            .request(Method::GET, url)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let response = self.client.open(request).await?;
        if self.lost_at.take().is_some() {
            self.tell(Update::Back).await;
        }
        let mut pieces = response.bytes_stream();
        let mut reader = sse::Reader::default();
        // A broken or silent stream is no failure: the next attempt goes on where it ended.
        while let Ok(Some(Ok(piece))) = timeout(SILENCE_MAX, pieces.next()).await {
            let Ok(messages) = reader.take(&piece) else {
                return Ok(());
            };
            for message in messages {
                self.message(message).await;
            }
        }
        Ok(())
    }

    async fn message(&mut self, message: sse::Message) {
        if let Ok(event) = serde_json::from_str(&message.data) {
            self.tell(Update::Event(event)).await;
        }
        self.last = message.id.or(self.last.take());
    }

    async fn lost(&mut self, failure: Failure) -> Result<(), Failure> {
        match self.lost_at {
            None => {
                self.lost_at = Some(Instant::now());
                self.tell(Update::Lost).await;
            }
            Some(since) if since.elapsed() > AWAY_MAX => {
                return Err(failure.next(format!(
                    "the deployment continues once the server is back; run `pointsman watch {}` again",
                    self.id
                )));
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn tell(&self, update: Update) {
        // The receiver is gone when the watch has ended; `run` sees that.
        let _ = self.updates.send(update).await;
    }
}
