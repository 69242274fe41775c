//! The kinds of plans, and the units of intervals.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// What kind of plan a schedule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleType {
    /// By a cron expression.
    Cron,
    /// Every so often.
    Interval,
    /// At a time of every day.
    Daily,
    /// At a time of some weekdays.
    Weekly,
    /// At a time of some dates of every month.
    Monthly,
    /// Once, at a time; `once` means the same.
    Scheduled,
    /// Once, at once.
    Immediate,
    /// Only by hand.
    Manual,
}

impl ScheduleType {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Cron,
        Self::Interval,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Scheduled,
        Self::Immediate,
        Self::Manual,
    ];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Interval => "interval",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Scheduled => "scheduled",
            Self::Immediate => "immediate",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for ScheduleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScheduleType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = if text == "once" { "scheduled" } else { text };
        let rule = "one of cron, interval, daily, weekly, monthly, scheduled, immediate, manual";
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(rule)
    }
}

impl<'de> Deserialize<'de> for ScheduleType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// Reads one of a few words. A derived reader would take a number for broken JSON.
pub(super) fn word<'de, D: Deserializer<'de>, T: FromStr<Err = &'static str>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(|rule: &'static str| D::Error::invalid_value(Unexpected::Str(&text), &rule))
}

/// A unit of intervals. All are real time: a day is 24 hours, whatever the clocks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A second.
    Seconds,
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours.
    Days,
    /// 7 days.
    Weeks,
}

impl Unit {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => 60,
            Self::Hours => 3_600,
            Self::Days => 86_400,
            Self::Weeks => 7 * 86_400,
        }
    }
}

impl FromStr for Unit {
    type Err = &'static str;

    /// Reads a unit in the plural or the singular.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix('s').unwrap_or(text) {
            "second" => Ok(Self::Seconds),
            "minute" => Ok(Self::Minutes),
            "hour" => Ok(Self::Hours),
            "day" => Ok(Self::Days),
            "week" => Ok(Self::Weeks),
            _ => Err("one of seconds, minutes, hours, days, weeks"),
        }
    }
}
