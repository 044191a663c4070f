//! Reads a stream of server-sent events (WHATWG HTML, section 9.2), piece by piece.
//!
//! Invariant: pieces may break anywhere, also inside a character; memory stays bounded.

/// Longest event, in bytes. Longer ones end the stream with an error.
const EVENT_LEN_MAX: usize = 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data; several lines are joined.
    pub data: String,
}

/// Turns pieces into events.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    next: Message,
    has_data: bool,
}

/// An event was longer than a megabyte.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Reader {
    /// Takes the next piece; gives the events that are complete now.
    ///
    /// # Errors
    /// When an event is too long.
    pub fn take(&mut self, piece: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for byte in piece {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                messages.extend(self.end_line(&line));
            } else {
                self.line.push(*byte);
            }
            if self.line.len() + self.next.data.len() > EVENT_LEN_MAX {
                return Err(TooLong);
            }
        }
        Ok(messages)
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Message> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let message = std::mem::take(&mut self.next);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.next.data.push('\n');
                }
                self.next.data.push_str(value);
                self.has_data = true;
            }
            "id" => self.next.id = Some(value.to_owned()),
            // Comments (an empty field) keep the connection alive; other fields are not used.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_may_break_anywhere() {
        let text = ": hello\n\nid: 1\nevent: x\ndata: {\"a\":\"ä\"}\n\nid: 2\r\ndata: b\r\ndata: c\r\n\r\n";
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let messages: Vec<Message> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| reader.take(piece).expect("short"))
                .collect();
            let ids: Vec<_> = messages.iter().map(|m| m.id.as_deref()).collect();
            assert_eq!(ids, [Some("1"), Some("2")]);
            assert_eq!(messages[0].data, "{\"a\":\"ä\"}");
            assert_eq!(messages[1].data, "b\nc");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut reader = Reader::default();
        assert_eq!(reader.take(&vec![b'x'; EVENT_LEN_MAX + 1]), Err(TooLong));
    }
}
