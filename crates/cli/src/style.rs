//! Colours, and what the terminal can do.
//!
//! Invariant: without a terminal, or with `NO_COLOR` set, no escape sequence is written.

use std::{
    env,
    io::{self, IsTerminal},
};

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    /// For what is written to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::when(io::stdout().is_terminal())
    }

    /// For what is written to standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::when(io::stderr().is_terminal())
    }

    fn when(terminal: bool) -> Self {
        let forbidden = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: terminal && !forbidden && !dumb,
        }
    }

    /// Headings.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
    /// What is less important.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
    /// Bad news.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
    /// Good news.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }
    /// Not there yet.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }
    /// What can be typed or opened.
    #[must_use]
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Columns of the terminal; 100 when there is none.
#[must_use]
pub fn columns() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// `text` cut to `columns` visible characters; colours are kept and ended.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    let mut kept = String::new();
    let mut visible = 0;
    let mut in_escape = false;
    for c in text.chars() {
        if c == '\u{1b}' {
            in_escape = true;
        }
        if in_escape {
            kept.push(c);
            in_escape = c != 'm';
        } else if visible < columns {
            kept.push(c);
            visible += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_what_is_seen() {
        let coloured = Style { colour: true }.red("abcdef");
        assert_eq!(cut(&coloured, 3), "\u{1b}[31mabc\u{1b}[0m");
        assert_eq!(cut("○○●●", 3), "○○●");
    }
}
