//! Long answers: bounded in number, only for as long as the reader may have them, and ended when the
//! server stops.
//!
//! Invariant: nobody reads on for longer than [`UNKNOWN_MAX`] after their token or their right was lost.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::StatusCode;
use domain::{
    access::{Resource, Right},
    names::{DeploymentId, Place},
};
use futures_util::{Stream, StreamExt, future::BoxFuture, stream};
use operations::{Desk, Error};
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Between two looks whether a reader may still have a stream.
const LOOK: Duration = Duration::from_secs(5);
/// How long a stream goes on while that cannot be found out.
const UNKNOWN_MAX: Duration = Duration::from_secs(60);

/// Keeps count of the streams that are open.
#[derive(Debug, Clone)]
pub struct Streams {
    places: Arc<Semaphore>,
    max: usize,
    stopping: CancellationToken,
}

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<T> {
    /// What the stream is about.
    Item(T),
    /// Nothing follows, for this reason.
    Last(Lost),
}

/// Why a reader may not have more of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The token or the session was revoked, or expired.
    Unauthenticated,
    /// The right was taken away.
    Denied,
    /// For a minute it could not be found out.
    Unknown,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "the token was revoked or has expired",
            Self::Denied => "you may no longer read this",
            Self::Unknown => "the server cannot find out whether you may still read this",
        })
    }
}

/// Admits the reader of a stream once more, with what they showed when they opened it.
#[derive(Clone)]
pub struct Visa(Arc<Admit>);

type Admit = dyn Fn() -> BoxFuture<'static, Result<Option<Desk>, Error>> + Send + Sync;

impl fmt::Debug for Visa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visa(..)")
    }
}

impl Visa {
    /// `admit` gives the desk of the reader, if what they showed still counts.
    pub fn new(
        admit: impl Fn() -> BoxFuture<'static, Result<Option<Desk>, Error>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(admit))
    }
}

/// What a stream is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A place.
    Place(Place),
    /// A deployment.
    Deployment(DeploymentId),
    /// What the reader may see, each part of which is checked when it is read.
    Seen,
}

/// Who reads a stream, and what they need for it.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Who.
    pub visa: Visa,
    /// Which right.
    pub right: Right,
    /// On what.
    pub subject: Subject,
}

impl Reader {
    /// Whether they may still read; `None` when they may.
    async fn look(&self) -> Result<Option<Lost>, Error> {
        let Some(desk) = (self.visa.0)().await? else {
            return Ok(Some(Lost::Unauthenticated));
        };
        let resource = match &self.subject {
            Subject::Place(place) => Resource::Place(place),
            Subject::Deployment(id) => Resource::Deployment(id),
            Subject::Seen => return Ok(None),
        };
        let may = desk.can(self.right, resource).await?;
        Ok((!may).then_some(Lost::Denied))
    }
}

/// Waits until `look` says that the reader lost it, or cannot say so for too long.
async fn lost<F>(look: impl Fn() -> F) -> Lost
where
    F: Future<Output = Result<Option<Lost>, Error>>,
{
    let mut sure = Instant::now();
    loop {
        sleep(LOOK).await;
        match timeout(LOOK, look()).await {
            Ok(Ok(None)) => sure = Instant::now(),
            Ok(Ok(Some(lost))) => return lost,
            Ok(Err(_)) | Err(_) if sure.elapsed() + 2 * LOOK > UNKNOWN_MAX => {
                return Lost::Unknown;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the reader of a stream is not known now"),
            Err(_) => tracing::warn!("the reader of a stream is not known now"),
        }
    }
}

impl Streams {
    /// At most `max` streams, which end when `stopping` is cancelled.
    #[must_use]
    pub fn new(max: usize, stopping: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(max)),
            max,
            stopping,
        }
    }

    /// The stream, for as long as `reader` may have it. It keeps a place as long as it lives.
    ///
    /// # Errors
    /// When all places are taken.
    pub fn bounded<S: Stream + Send + 'static>(
        &self,
        stream: S,
        reader: Reader,
    ) -> Result<impl Stream<Item = Piece<S::Item>> + Send + use<S>, Problem>
    where
        S::Item: Send,
    {
        let lost = async move { lost(|| reader.look()).await };
        self.until(stream, lost)
    }

    fn until<S, L>(
        &self,
        items: S,
        lost: L,
    ) -> Result<impl Stream<Item = Piece<S::Item>> + Send + use<S, L>, Problem>
    where
        S: Stream + Send + 'static,
        S::Item: Send,
        L: Future<Output = Lost> + Send + 'static,
    {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{} streams are already open", self.max);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail)
                .remedy("close one, or request pages instead")
        })?;
        let stopped = self.stopping.clone().cancelled_owned();
        let why = Arc::new(OnceLock::new());
        let known = Arc::clone(&why);
        let over = async move {
            tokio::select! {
                () = stopped => {}
                lost = lost => drop(known.set(lost)),
            }
        };
        let last = stream::once(async move { why.get().copied() });
        let last = last.filter_map(|lost| std::future::ready(lost.map(Piece::Last)));
        let items = items.map(Piece::Item).take_until(over);
        Ok(items.chain(last).map(move |piece| {
            let _kept_until_the_end = &place;
            piece
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Streams {
        Streams::new(2, CancellationToken::new())
    }

    #[tokio::test]
    async fn a_reader_who_lost_it_is_told_why_and_gets_no_more() {
        let endless = stream::repeat(1).take(3).chain(stream::pending());
        let all = streams().until(endless, async { Lost::Denied }).unwrap();
        let pieces: Vec<Piece<i32>> = all.collect().await;
        assert_eq!(pieces.last(), Some(&Piece::Last(Lost::Denied)));
        let whole = stream::iter([1, 2]);
        let all = streams().until(whole, std::future::pending()).unwrap();
        let pieces: Vec<Piece<i32>> = all.collect().await;
        assert_eq!(pieces, [Piece::Item(1), Piece::Item(2)], "nothing was lost");
    }

    #[tokio::test]
    async fn a_place_is_free_again_once_a_stream_is_gone() {
        let streams = streams();
        let open = || streams.until(stream::pending::<i32>(), std::future::pending());
        let (first, second) = (open().unwrap(), open().unwrap());
        assert!(open().is_err());
        drop((first, second));
        assert!(open().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_reads_on_for_more_than_a_minute_while_nothing_is_known() {
        let silent = || std::future::pending();
        let began = Instant::now();
        assert_eq!(lost(silent).await, Lost::Unknown);
        assert!(began.elapsed() <= UNKNOWN_MAX, "{:?}", began.elapsed());
        let revoked = || async { Ok(Some(Lost::Unauthenticated)) };
        let began = Instant::now();
        assert_eq!(lost(revoked).await, Lost::Unauthenticated);
        assert!(began.elapsed() <= 2 * LOOK);
    }
}
