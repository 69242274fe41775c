//! Times of day.

use std::str::FromStr;

use jiff::civil::Time;

/// A time of day, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock24(Time);

impl Clock24 {
    pub(super) fn time(self) -> Time {
        self.0
    }
}

impl FromStr for Clock24 {
    type Err = &'static str;

    /// Reads `HH:MM` or `HH:MM:SS`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "HH:MM or HH:MM:SS, such as 09:00 or 14:30:00";
        let part = |text: &str| {
            let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
            is_short.then(|| text.parse::<i8>().ok()).flatten().ok_or(RULE)
        };
        let parts = text.split(':').map(part).collect::<Result<Vec<i8>, _>>()?;
        let (hour, minute, second) = match parts.as_slice() {
            [hour, minute] => (*hour, *minute, 0),
            [hour, minute, second] => (*hour, *minute, *second),
            _ => return Err(RULE),
        };
        Time::new(hour, minute, second, 0).map(Self).map_err(|_| RULE)
    }
}
