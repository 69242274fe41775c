//! What a handler says while it runs, until it is sent.

use std::mem;

use taskloom_protocol::{Json, LogLevel, LogLine, Outcome, shorten};

use crate::clock::now;
use crate::limits::{MAX_LINE_BYTES, MAX_LINES, MAX_LINES_BYTES};

/// Progress and log lines that wait to be sent, and the end that must not overtake them.
#[derive(Debug, Default)]
pub(crate) struct News {
    fresh: Packet,
    bytes: usize,
    dropped: usize,
    /// Whether the heartbeat knows already that there is something to send.
    announced: bool,
    /// Whether a heartbeat carries a packet right now.
    in_flight: bool,
    /// The end of the attempt, held back until that heartbeat has returned: a finish that overtakes it would make
    /// the server refuse the lines it carries.
    end: Option<Outcome>,
}

/// What one message carries.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    pub(crate) progress: Option<f64>,
    pub(crate) detail: Option<Json>,
    pub(crate) lines: Vec<LogLine>,
}

impl Packet {
    fn is_empty(&self) -> bool {
        self.progress.is_none() && self.detail.is_none() && self.lines.is_empty()
    }

    /// Its size on the wire, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let detail = self.detail.as_ref().map_or(0, |detail| detail.get().len());
        self.lines.iter().map(line_bytes).sum::<usize>() + detail
    }
}

fn line_bytes(line: &LogLine) -> usize {
    // The time, the level and the punctuation around them.
    line.message.len() + 80
}

impl News {
    /// Notes progress; a detail of `None` leaves the one before. Returns whether to announce it.
    pub(crate) fn progress(&mut self, percent: f64, detail: Option<Json>) -> bool {
        // There is no percentage in NaN; it says nothing new.
        if !percent.is_nan() {
            self.fresh.progress = Some(percent.clamp(0.0, 100.0));
        }
        if detail.is_some() {
            self.fresh.detail = detail;
        }
        self.announce()
    }

    /// Notes a line, or that it was dropped because too many wait. Returns whether to announce it.
    pub(crate) fn log(&mut self, level: LogLevel, message: String) -> bool {
        let line = LogLine { at: now(), level, message: shorten(message, MAX_LINE_BYTES) };
        let bytes = line_bytes(&line);
        // The last place is kept for the note about dropped lines.
        if self.fresh.lines.len() + 1 >= MAX_LINES || self.bytes + bytes > MAX_LINES_BYTES {
            self.dropped += 1;
        } else {
            self.bytes += bytes;
            self.fresh.lines.push(line);
        }
        self.announce()
    }

    fn announce(&mut self) -> bool {
        !mem::replace(&mut self.announced, true)
    }

    /// Takes what is new for a heartbeat, which must end with [`News::sent`] if this is not empty.
    pub(crate) fn take_for_beat(&mut self) -> Option<Packet> {
        self.announced = false;
        if self.in_flight {
            return None;
        }
        let packet = self.take();
        if packet.is_empty() {
            return None;
        }
        self.in_flight = true;
        Some(packet)
    }

    fn take(&mut self) -> Packet {
        self.bytes = 0;
        let mut packet = mem::take(&mut self.fresh);
        match mem::take(&mut self.dropped) {
            0 => {}
            n => packet.lines.push(LogLine {
                at: now(),
                level: LogLevel::Warning,
                message: format!("{n} log lines were dropped: too many waited to be sent"),
            }),
        }
        packet
    }

    /// The heartbeat with `packet` has returned; `back` holds the packet if it did not arrive. Returns the end that
    /// waited for it.
    pub(crate) fn sent(&mut self, back: Option<Packet>) -> Option<Outcome> {
        self.in_flight = false;
        if let Some(packet) = back {
            self.restore(packet);
        }
        self.end.take()
    }

    fn restore(&mut self, mut packet: Packet) {
        let newer = mem::take(&mut self.fresh);
        packet.progress = newer.progress.or(packet.progress);
        packet.detail = newer.detail.or(packet.detail);
        packet.lines.extend(newer.lines);
        let excess = packet.lines.len().saturating_sub(MAX_LINES - 1);
        packet.lines.truncate(packet.lines.len() - excess);
        self.dropped += excess;
        self.bytes = packet.lines.iter().map(line_bytes).sum();
        self.fresh = packet;
    }

    /// The attempt has ended: gives the outcome back with the last news, or keeps it until [`News::sent`].
    pub(crate) fn end(&mut self, outcome: Outcome) -> Option<(Outcome, Packet)> {
        if self.in_flight {
            self.end = Some(outcome);
            return None;
        }
        Some((outcome, self.take()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_bounded_number_of_lines_and_says_how_many_it_dropped() {
        let mut news = News::default();
        assert!(news.log(LogLevel::Info, "first".into()));
        for n in 0..1_500 {
            assert!(!news.log(LogLevel::Info, n.to_string()));
        }
        let packet = news.take_for_beat().unwrap();
        assert_eq!(packet.lines.len(), MAX_LINES);
        assert!(packet.lines[MAX_LINES - 1].message.starts_with("502 log lines"));
    }

    #[test]
    fn bounds_the_bytes_of_waiting_lines() {
        let mut news = News::default();
        for _ in 0..500 {
            news.log(LogLevel::Info, "x".repeat(MAX_LINE_BYTES));
        }
        assert!(news.take_for_beat().unwrap().bytes() <= MAX_LINES_BYTES + 200);
    }

    #[test]
    fn what_did_not_arrive_comes_back_in_order_below_what_is_newer() {
        let mut news = News::default();
        news.log(LogLevel::Info, "one".into());
        news.progress(10.0, None);
        let lost = news.take_for_beat().unwrap();
        news.log(LogLevel::Info, "two".into());
        news.progress(20.0, None);
        assert!(news.sent(Some(lost)).is_none());
        let again = news.take_for_beat().unwrap();
        let lines: Vec<_> = again.lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(again.progress, Some(20.0));
    }

    #[test]
    fn an_end_waits_for_the_packet_in_flight() {
        let mut news = News::default();
        news.log(LogLevel::Info, "one".into());
        assert!(news.take_for_beat().is_some());
        assert!(news.end(Outcome::Timeout).is_none());
        assert!(matches!(news.sent(None), Some(Outcome::Timeout)));
    }

    #[test]
    fn clamps_progress() {
        let mut news = News::default();
        for (said, kept) in [(f64::INFINITY, 100.0), (f64::NEG_INFINITY, 0.0), (120.0, 100.0), (50.0, 50.0)] {
            news.progress(said, None);
            news.progress(f64::NAN, None);
            assert_eq!(news.take().progress, Some(kept));
        }
    }
}
