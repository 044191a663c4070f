//! What a command tells its caller: an exit code, and for people what happened, why, and what to
//! type next.

use std::fmt;

use super::{harmless::harmless, style::Style};

/// The exit codes, as `pointsman --help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went as asked.
    Ok = 0,
    /// The deployment did not succeed, something differs, or something does not exist.
    NotReached = 1,
    /// The arguments or the input make no sense.
    Usage = 2,
    /// A rule says no: governance, a reference, a conflict.
    Refused = 3,
    /// The server cannot be reached, or does not answer usefully.
    Unreachable = 4,
    /// The server does not accept the token.
    Unauthorised = 5,
}

/// The text under `--help`: exit codes, and where the words are explained.
pub const AFTER_HELP: &str = "\
Words are explained in docs/concepts.md; a running server shows it at /docs/concepts.md.

Exit codes:
  0  success
  1  the deployment did not succeed, something differs, or something does not exist
  2  invalid arguments or input
  3  refused: by governance, a reference or a conflict
  4  the server cannot be reached
  5  the server does not accept the token";

/// A command that did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    what: String,
    why: Vec<String>,
    next: Vec<String>,
    reasons: Vec<Reason>,
}

/// One of several reasons, with what would lift it.
#[derive(Debug)]
struct Reason {
    message: String,
    remedy: String,
}

impl Failure {
    /// Something failed: `what` happened, as a sentence without a full stop.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            why: Vec::new(),
            next: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// The input makes no sense.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why.push(why.to_string());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    /// Adds one of several reasons, with what would lift it.
    #[must_use]
    pub fn reason(mut self, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.reasons.push(Reason {
            message: message.into(),
            remedy: remedy.into(),
        });
        self
    }

    /// The text for a terminal, several lines.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut lines = vec![format!("{} {}", style.red("error:"), self.what)];
        for why in &self.why {
            lines.push(format!("  {} {why}", style.dim("why: ")));
        }
        for reason in &self.reasons {
            lines.push(format!("  - {}", reason.message));
            if !reason.remedy.is_empty() {
                lines.push(format!("      {} {}", style.dim("next:"), reason.remedy));
            }
        }
        for next in &self.next {
            lines.push(format!("  {} {next}", style.dim("next:")));
        }
        harmless(&lines.join("\n")).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::new(Exit::Refused, "shop 1.1.0 may not be deployed to staging")
            .because("2 rules say no")
            .reason("staging is locked by alice: release night", "ask alice")
            .reason("shop has no release 1.1.0", "")
            .next("add --dry-run to look first");
        let expected = "\
error: shop 1.1.0 may not be deployed to staging
  why:  2 rules say no
  - staging is locked by alice: release night
      next: ask alice
  - shop has no release 1.1.0
  next: add --dry-run to look first";
        assert_eq!(failure.text(Style::PLAIN), expected);
    }
}
