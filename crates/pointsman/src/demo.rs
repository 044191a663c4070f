//! The demo.
pub mod shop;
use crate::cli::{
    Context,
    failure::{Exit, Failure},
};
use clap::Args;
/// The arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {}
/// Plays.
///
/// # Errors
/// Later.
pub async fn run(_context: &Context, _args: &DemoArgs) -> Result<Exit, Failure> {
    Ok(Exit::Ok)
}
