//! Logs of instances, as the provider keeps them.

use std::io;

use bytes::Bytes;
use domain::{
    access::{Resource, Right},
    names::Place,
    observation::InstanceId,
};
use engine::ports::ErrorKind;
use futures_util::stream::BoxStream;

use super::{Desk, Error, error::Fault};

/// Most lines from the past.
pub const LINES_MAX: u32 = 100_000;

/// Which lines of which instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// So many lines from the past.
    pub lines: u32,
    /// Go on with what comes.
    pub follow: bool,
}

/// Text as it comes; lines are whole.
pub type Text = BoxStream<'static, io::Result<Bytes>>;

impl Desk {
    /// Logs of the instances at a place.
    ///
    /// # Errors
    /// [`Error::Unknown`] place; [`Error::NoLogs`]; [`Error::Provider`] when it does not answer.
    pub async fn logs(&self, place: &Place, wanted: Wanted) -> Result<Text, Error> {
        let permit = self.may(Right::ViewLogs, Resource::Place(place)).await?;
        permit.known(place).await?;
        if wanted.lines > LINES_MAX {
            return Err(Error::Invalid {
                what: "the query",
                faults: vec![Fault::of("lines", format!("at most {LINES_MAX}"))],
            });
        }
        let target = permit.target(place).await?.ok_or_else(|| Error::NoLogs {
            why: "no server group is there".to_owned(),
        })?;
        let logs = permit.providers().logs(&target, wanted).await;
        logs.map_err(|error| match error.kind {
            ErrorKind::Missing => Error::NoLogs { why: error.message },
            _ => Error::Provider(error),
        })
    }
}
