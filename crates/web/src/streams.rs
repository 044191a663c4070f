//! Long answers: bounded in number, and ended when the server stops.

use std::sync::Arc;

use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Keeps count of the streams that are open.
#[derive(Debug, Clone)]
pub struct Streams {
    places: Arc<Semaphore>,
    max: usize,
    stopping: CancellationToken,
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

    /// The stream, which keeps a place as long as it lives.
    ///
    /// # Errors
    /// When all places are taken.
    pub fn bounded<S: Stream + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<impl Stream<Item = S::Item> + Send + use<S>, Problem>
    where
        S::Item: Send,
    {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{} streams are already open", self.max);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail)
                .remedy("close one, or request pages instead")
        })?;
        let stopped = self.stopping.clone().cancelled_owned();
        Ok(stream.take_until(stopped).map(move |item| {
            let _kept_until_the_end = &place;
            item
        }))
    }
}
