//! What is drawn while something goes on: lines that stay, and below them a few that are redrawn.
//!
//! Invariant: without a terminal nothing is redrawn, and only lines that stay are written.

use std::io::{self, IsTerminal, Write};

use super::{
    harmless::harmless,
    style::{self, Style},
};

/// Where progress is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Standard output: progress is all there is to see.
    Stdout,
    /// Standard error: standard output is for a result.
    Stderr,
}

/// A place for progress.
#[derive(Debug)]
pub struct Screen {
    target: Target,
    terminal: bool,
    style: Style,
    drawn: usize,
}

impl Screen {
    /// An empty one.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let (terminal, style) = match target {
            Target::Stdout => (io::stdout().is_terminal(), Style::stdout()),
            Target::Stderr => (io::stderr().is_terminal(), Style::stderr()),
        };
        Self {
            target,
            terminal,
            style,
            drawn: 0,
        }
    }

    /// One that is no terminal, and has no colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            target: Target::Stderr,
            terminal: false,
            style: Style::PLAIN,
            drawn: 0,
        }
    }

    /// How to colour what is drawn here.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether lines can be redrawn.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.terminal
    }

    /// Writes lines that stay.
    pub fn log(&mut self, text: &str) {
        let erase = self.erase();
        self.write(&format!("{erase}{}\n", harmless(text)));
    }

    /// Draws the lines below anew.
    pub fn draw(&mut self, lines: &[String]) {
        if !self.terminal {
            return;
        }
        // One column less than there are, so that no terminal wraps.
        let columns = style::columns().saturating_sub(1);
        let mut text = self.erase();
        for line in lines {
            text.push_str(&style::cut(&harmless(line), columns));
            text.push('\n');
        }
        self.drawn = lines.len();
        self.write(&text);
    }

    /// Removes what was drawn.
    pub fn clear(&mut self) {
        let erase = self.erase();
        self.write(&erase);
    }

    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
        }
    }

    /// One write per change, so that nothing flickers. A closed pipe ends no deployment.
    fn write(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let _ = match self.target {
            Target::Stdout => io::stdout().lock().write_all(text.as_bytes()),
            Target::Stderr => io::stderr().lock().write_all(text.as_bytes()),
        };
        let _ = match self.target {
            Target::Stdout => io::stdout().flush(),
            Target::Stderr => io::stderr().flush(),
        };
    }
}
