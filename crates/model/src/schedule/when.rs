//! The one time of a schedule that fires once.

use std::str::FromStr;

use jiff::civil::DateTime;

use super::Zone;
use crate::Timestamp;

/// An instant, or a local date and time that a zone makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The instant itself.
    Instant(Timestamp),
    /// As the clocks of the zone show it.
    Local(DateTime),
}

impl When {
    pub(super) fn instant(self, zone: &Zone) -> Option<Timestamp> {
        match self {
            Self::Instant(at) => Some(at),
            Self::Local(local) => zone.resolve(local),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    /// Reads `2026-12-25 10:00:00`, with `T` for the space, or without seconds; or RFC 3339.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "a date and time such as 2026-12-25 10:00:00, or RFC 3339";
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Self::Instant(instant));
        }
        // Neither an annotation nor a date alone, both of which the parser would take.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:T .".contains(&byte));
        if !is_plain || !text.contains(':') {
            return Err(RULE);
        }
        let local: DateTime = text.parse().map_err(|_| RULE)?;
        if (1970..=9999).contains(&local.year()) { Ok(Self::Local(local)) } else { Err(RULE) }
    }
}
