//! Times on pages: in the zone that the reader chose, for as long as their page is made.

use std::future::Future;

use domain::time::UnixMs;
use jiff::{Timestamp, tz::TimeZone};

tokio::task_local! {
    static ZONE: TimeZone;
}

/// The zone of this name, if this system knows it.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Does `work` with times in the zone of this name; in UTC where there is none.
pub(super) async fn in_zone<T>(name: Option<&str>, work: impl Future<Output = T>) -> T {
    match name.and_then(zone) {
        Some(zone) => ZONE.scope(zone, work).await,
        None => work.await,
    }
}

/// A moment as people write it, with its zone.
pub(super) fn written(at: UnixMs) -> String {
    let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
    let zone = ZONE.try_with(TimeZone::clone).unwrap_or(TimeZone::UTC);
    let zoned = time.to_zoned(zone);
    zoned.strftime("%-d %b %Y %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_time_is_in_the_zone_of_its_reader() {
        let at = UnixMs(1_780_000_000_000);
        assert_eq!(written(at), "28 May 2026 20:26:40 UTC");
        let there = in_zone(Some("Europe/Berlin"), async { written(at) }).await;
        assert_eq!(there, "28 May 2026 22:26:40 CEST");
        let nowhere = in_zone(Some("Nowhere/Atall"), async { written(at) }).await;
        assert_eq!(nowhere, written(at));
    }
}
