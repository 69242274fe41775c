//! Server-sent events, as the WHATWG HTML standard (section 9.2.6) writes them.

use taskloom_protocol::TaskEvent;

/// The longest event, in bytes; what is longer is dropped as a whole.
const MOST_BYTES: usize = 4 << 20;

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// `message` if the server says nothing.
    pub name: String,
    /// Its lines.
    pub data: String,
    /// The last id the server has sent, with this event or before it; empty if there was none.
    pub id: String,
}

/// Turns chunks of bytes into events, wherever the chunks are cut.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    too_long: bool,
    event: ServerEvent,
    has_data: bool,
    last_id: String,
}

impl ServerEvent {
    /// What it says about a task; the kind stands in the data or, where it does not, in the event's name. `None` if it is
    /// of a kind that this version does not know.
    pub fn of_task(&self) -> Option<TaskEvent> {
        let mut value: serde_json::Value = serde_json::from_str(&self.data).ok()?;
        let object = value.as_object_mut()?;
        object.entry("event").or_insert_with(|| self.name.clone().into());
        serde_json::from_value(value).ok()
    }
}

impl Parser {
    /// The events that end in this chunk.
    pub fn feed(&mut self, chunk: &[u8]) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        for &byte in chunk {
            let second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() + self.event.data.len() < MOST_BYTES => self.line.push(byte),
                _ => self.too_long = true,
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<ServerEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<ServerEvent> {
        let mut event = std::mem::take(&mut self.event);
        let whole = std::mem::take(&mut self.has_data) && !std::mem::take(&mut self.too_long);
        event.id.clone_from(&self.last_id);
        if event.name.is_empty() {
            event.name.push_str("message");
        }
        whole.then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> ServerEvent {
        ServerEvent { name: name.into(), data: data.into(), id: String::new() }
    }

    #[test]
    fn the_cuts_do_not_matter() {
        let text = "event: state\r\nid: 7\r\ndata: {\"a\":\r\ndata:1}\r\n\r\n: keep-alive\n\ndata: 任务\n\n";
        let expected = [event("state", "{\"a\":\n1}"), event("message", "任务")]
            .map(|event| ServerEvent { id: "7".into(), ..event });
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = text.as_bytes().chunks(size).flat_map(|chunk| parser.feed(chunk)).collect();
            assert_eq!(events, expected, "chunks of {size}");
        }
    }

    #[test]
    fn events_of_tasks_are_read_with_and_without_a_tag() {
        let tagged = event("message", r#"{"event":"progress","progress":5.0,"detail":null}"#).of_task();
        assert!(matches!(tagged, Some(TaskEvent::Progress { progress: 5.0, .. })));
        let data = r#"{"state":"failed","status":"failed","reason":"error","attempt":3}"#;
        let named = event("state", data).of_task();
        assert!(matches!(named, Some(TaskEvent::State { attempt: 3, .. })));
        for (name, data) in [("future", "{}"), ("state", "[]"), ("state", "nonsense"), ("progress", "{}")] {
            assert!(event(name, data).of_task().is_none(), "{name} {data}");
        }
    }

    #[test]
    fn an_endless_event_takes_no_endless_memory() {
        let mut parser = Parser::default();
        assert!(parser.feed(b"data: ").is_empty());
        for _ in 0..10 {
            assert!(parser.feed(&vec![b'x'; 1 << 20]).is_empty());
        }
        assert!(parser.line.len() <= MOST_BYTES);
        assert!(parser.feed(b"\n\n").is_empty());
        assert_eq!(parser.feed(b"data: y\n\n"), [event("message", "y")]);
    }
}
