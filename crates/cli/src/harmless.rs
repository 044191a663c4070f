//! Text of others, made harmless: a terminal obeys some characters, and this is where they end.
//!
//! Invariant: what people read is written through here. Of control characters only line ends, tabs and
//! colours stay; the others are written out, as `\u001b`.

use std::borrow::Cow;

/// Largest piece of a line that is kept back until its end is there, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// `text` without anything that a terminal would obey, apart from line ends, tabs and colours.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(commands) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(commands) {
        let (before, from) = rest.split_at(at);
        written.push_str(before);
        let colour = colour(from);
        if colour > 0 {
            written.push_str(&from[..colour]);
            rest = &from[colour..];
            continue;
        }
        let mut characters = from.chars();
        if let Some(character) = characters.next() {
            written.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
        rest = characters.as_str();
    }
    written.push_str(rest);
    Cow::Owned(written)
}

/// Characters that a terminal obeys, and those that turn the direction of the text around them.
fn commands(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{061c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

/// The length of the colour that `text` begins with (`ESC [ digits m`); 0 when it is none.
fn colour(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    match parameters.find(|it: char| !it.is_ascii_digit() && it != ';') {
        Some(end) if end <= 32 && parameters[end..].starts_with('m') => 2 + end + 1,
        _ => 0,
    }
}

/// Log lines as they come in pieces, made harmless line by line.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
}

impl Lines {
    /// The whole lines that are there with this piece.
    pub fn take(&mut self, piece: &[u8]) -> String {
        self.kept.extend_from_slice(piece);
        let end = self.kept.iter().rposition(|byte| *byte == b'\n');
        let whole = match end {
            Some(end) => end + 1,
            None if self.kept.len() > LINE_MAX => self.kept.len(),
            None => return String::new(),
        };
        let whole: Vec<u8> = self.kept.drain(..whole).collect();
        let text = String::from_utf8_lossy(&whole).replace("\r\n", "\n");
        harmless(&text).into_owned()
    }

    /// What is left at the end.
    #[must_use]
    pub fn rest(self) -> String {
        harmless(&String::from_utf8_lossy(&self.kept)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, expected) in [
            (
                "a line\n\tand one more, grün",
                "a line\n\tand one more, grün",
            ),
            ("\u{1b}[31;1mred\u{1b}[0m", "\u{1b}[31;1mred\u{1b}[0m"),
            ("\u{1b}]52;c;aGk=\u{7}", "\\u001b]52;c;aGk=\\u0007"),
            ("\u{1b}[2J\u{1b}[6n", "\\u001b[2J\\u001b[6n"),
            ("\u{9b}31m", "\\u009b31m"),
            ("i-1 | x\ri-2 | y", "i-1 | x\\u000di-2 | y"),
            ("\u{202e}txt.exe", "\\u202etxt.exe"),
            ("\u{1b}[", "\\u001b["),
        ] {
            assert_eq!(harmless(text), expected);
            assert_eq!(harmless(expected), expected, "what is harmless stays");
        }
    }

    #[test]
    fn log_lines_that_come_in_pieces_are_made_harmless_whole() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\r\ntwo \x1b"), "one\n");
        assert_eq!(
            lines.take(b"]0;title\x07\nthree"),
            "two \\u001b]0;title\\u0007\n"
        );
        assert_eq!(lines.rest(), "three");
        let mut long = Lines::default();
        assert!(
            !long.take(&vec![b'x'; LINE_MAX + 1]).is_empty(),
            "memory is bounded"
        );
    }
}
