//! The stories of the store, each told on SQLite and on PostgreSQL.
//!
//! Invariant: a story asks only what holds on both databases.

#![expect(
    clippy::unwrap_used,
    reason = "a story that cannot go on has failed, and the line says where"
)]

mod access;
mod audit;
mod begin;
mod catalogue;
mod crash;
mod full;
mod golden;
mod idempotency;
mod journal;
mod many;
mod people;
mod postgres;
mod releases;
mod running;
mod world;

/// Runs each story once per database.
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(crate::world::World::sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(crate::world::World::postgres().await).await;
            })+
        }
    };
}
pub(crate) use stories;
