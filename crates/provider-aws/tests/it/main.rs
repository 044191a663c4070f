//! The provider against an emulated AWS that follows AWS's documented rules.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod accounts;
mod contract;
mod counted;
mod create;
mod drive;
mod emulator;
mod fixture;
mod images;
mod rooms;
mod shortage;
mod story;
mod traffic;
