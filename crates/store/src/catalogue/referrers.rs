//! Who still needs a catalogue entry.

use domain::{catalogue::Kind, names::DeploymentId};
use sqlx::{AnyConnection, Row};

use super::{REFERRERS_MAX, kind_of};
use crate::{StoreError, error::Referrer, values::Doing};

/// A question that finds referrers: `$1` is the limit, the rest is from the entry's name.
struct Question {
    sql: &'static str,
    /// Makes a referrer of one row's text.
    referrer: fn(String) -> Referrer,
}

const ENTRIES: &str = "select from_kind, from_name from catalogue_references
    where to_kind = $1 and to_name = $2 order by from_kind, from_name limit $3";

const RELEASES: Question = Question {
    sql: "select service || ' ' || version as referrer from releases
        where service = $2 and withdrawn_at is null order by version limit $1",
    referrer: |name| Referrer::Release { name },
};
const LIVE_OF_SERVICE: Question = Question {
    sql: "select service || '.' || environment as referrer from live
        where service = $2 order by environment limit $1",
    referrer: live,
};
const LIVE_IN_ENVIRONMENT: Question = Question {
    sql: "select service || '.' || environment as referrer from live
        where environment = $2 order by service limit $1",
    referrer: live,
};
const LIVE_IN_GROUP: Question = Question {
    sql: "select service || '.' || environment as referrer from live
        where service = $2 and environment = $3 limit $1",
    referrer: live,
};
const RUNNING_OF_SERVICE: Question = Question {
    sql: "select id as referrer from deployments
        where finished = 0 and service = $2 order by id limit $1",
    referrer: running,
};
const RUNNING_IN_ENVIRONMENT: Question = Question {
    sql: "select id as referrer from deployments
        where finished = 0 and environment = $2 order by id limit $1",
    referrer: running,
};
const RUNNING_IN_GROUP: Question = Question {
    sql: "select id as referrer from deployments
        where finished = 0 and service = $2 and environment = $3 limit $1",
    referrer: running,
};
const LOCKS: Question = Question {
    sql: "select held_by as referrer from locks where environment = $2 limit $1",
    referrer: |by| Referrer::Lock { by },
};

fn live(place: String) -> Referrer {
    Referrer::Live { place }
}

fn running(id: String) -> Referrer {
    let id = DeploymentId(id);
    Referrer::Deployment { id }
}

/// Up to [`REFERRERS_MAX`] of those who need the entry.
pub(super) async fn of(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<Vec<Referrer>, StoreError> {
    let questions: &[Question] = match kind {
        Kind::Service => &[RELEASES, LIVE_OF_SERVICE, RUNNING_OF_SERVICE],
        Kind::Environment => &[LIVE_IN_ENVIRONMENT, RUNNING_IN_ENVIRONMENT, LOCKS],
        Kind::ServerGroup => &[LIVE_IN_GROUP, RUNNING_IN_GROUP],
        _ => &[],
    };
    let parts: Vec<&str> = match kind {
        Kind::ServerGroup => name.splitn(2, '.').collect(),
        _ => vec![name],
    };
    let mut found = entries(connection, kind, name).await?;
    for question in questions {
        found.extend(ask(connection, question, &parts).await?);
    }
    found.truncate(REFERRERS_MAX);
    Ok(found)
}

const DOING: &str = "looking who needs a catalogue entry";

/// The limit that every question gets.
fn limit() -> i64 {
    i64::try_from(REFERRERS_MAX).unwrap_or(i64::MAX)
}

async fn entries(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<Vec<Referrer>, StoreError> {
    let rows = sqlx::query(ENTRIES)
        .bind(kind.as_str())
        .bind(name)
        .bind(limit())
        .fetch_all(connection)
        .await
        .doing(DOING)?;
    rows.iter()
        .map(|row| {
            let kind: &str = row.try_get("from_kind").doing(DOING)?;
            Ok(Referrer::Entry {
                kind: kind_of(kind)?,
                name: row.try_get("from_name").doing(DOING)?,
            })
        })
        .collect()
}

async fn ask(
    connection: &mut AnyConnection,
    question: &Question,
    parts: &[&str],
) -> Result<Vec<Referrer>, StoreError> {
    let mut query = sqlx::query(question.sql).bind(limit());
    for part in parts {
        query = query.bind(*part);
    }
    let rows = query.fetch_all(connection).await.doing(DOING)?;
    rows.iter()
        .map(|row| Ok((question.referrer)(row.try_get("referrer").doing(DOING)?)))
        .collect()
}
