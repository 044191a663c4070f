//! Logs of instances, as the provider keeps them.

use domain::{
    access::{Resource, Right},
    names::Place,
};
use engine::ports::ErrorKind;

use super::{
    Desk, Error,
    cloud::{LogQuery, LogText},
    error::Fault,
};

/// Most lines from the past.
pub const LINES_MAX: u32 = 100_000;

impl Desk {
    /// Logs of the instances at a place.
    ///
    /// # Errors
    /// [`Error::Unknown`] place; [`Error::NoLogs`]; [`Error::Provider`] when it does not answer.
    pub async fn logs(&self, place: &Place, query: LogQuery) -> Result<LogText, Error> {
        let permit = self.may(Right::ViewLogs, Resource::Place(place)).await?;
        permit.known(place).await?;
        if query.lines > LINES_MAX {
            return Err(Error::Invalid {
                what: "the query",
                faults: vec![Fault::of("lines", format!("at most {LINES_MAX}"))],
            });
        }
        let target = permit.target(place).await?.ok_or_else(|| Error::NoLogs {
            why: "no server group is there".to_owned(),
        })?;
        let provider = target.group.home().provider();
        let logs = permit.clouds().call(provider, |it| it.logs(&target, query));
        logs.await.map_err(|error| match error.kind {
            ErrorKind::Missing | ErrorKind::NotOffered => Error::NoLogs { why: error.message },
            _ => Error::Provider(error),
        })
    }
}
