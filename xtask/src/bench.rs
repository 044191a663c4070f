//! `cargo xtask bench`: measures against peers and floors, in the same run, and prints ratios.

pub fn run(_: &[String]) -> Result<(), String> {
    Err("x".into())
}
