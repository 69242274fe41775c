//! Cron expressions. The library reads them and walks the calendar; what local times mean is the zone's.

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

use super::{PlanError, Zone};
use crate::Timestamp;

const FIELD: &str = "cron_expression";
/// The longest expression in bytes.
const LONGEST: usize = 200;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const NICKNAMES: [&str; 7] =
    ["@YEARLY", "@ANNUALLY", "@MONTHLY", "@WEEKLY", "@DAILY", "@MIDNIGHT", "@HOURLY"];

/// The fields of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Second,
    Minute,
    Hour,
    Date,
    Month,
    Weekday,
}

impl Field {
    const ALL: [Self; 6] = [Self::Second, Self::Minute, Self::Hour, Self::Date, Self::Month, Self::Weekday];

    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Date => "day of the month",
            Self::Month => "month",
            Self::Weekday => "weekday",
        }
    }

    fn range(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::Date => "1 to 31, L for the last",
            Self::Month => "1 to 12 or JAN to DEC",
            Self::Weekday => "0 to 7 or SUN to SAT, where 0 and 7 are Sunday",
        }
    }

    fn error(self) -> PlanError {
        let message = format!(
            "the {} cannot be read: numbers from {}, `*`, lists `1,5`, ranges `1-5` and steps `*/5`",
            self.name(),
            self.range()
        );
        PlanError::new(FIELD, "bad_value", message)
    }

    /// Whether what stands between the marks of a field can stand there. The library would read a name in any field.
    fn knows(self, word: &str) -> bool {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        if word == "*" || is_number(word) {
            return true;
        }
        match self {
            Self::Month => MONTHS.contains(&word),
            Self::Weekday => {
                let day = word.strip_suffix('L').unwrap_or(word);
                matches!(word, "?" | "L") || is_number(day) || WEEKDAYS.contains(&day)
            }
            Self::Date => matches!(word, "?" | "L" | "LW") || word.strip_suffix('W').is_some_and(is_number),
            Self::Second | Self::Minute | Self::Hour => false,
        }
    }
}

/// A cron expression.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    /// Whether it runs through every hour: then it follows real time when the clocks change.
    is_flowing: bool,
}

impl Cron {
    pub(super) fn parse(expression: &str) -> Result<Self, PlanError> {
        let text = expression.trim().to_ascii_uppercase();
        if text.len() > LONGEST {
            return Err(PlanError::new(FIELD, "too_long", format!("at most {LONGEST} bytes")));
        }
        let text = if text.starts_with('@') { nickname(&text)? } else { text };
        let pattern = read(&text).ok_or_else(|| explain(&text))?;
        check_words(&text)?;
        let is_flowing = pattern.pattern.hours.values().len() == 24;
        Ok(Self { pattern, is_flowing })
    }

    pub(super) fn next_after(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let next = |local: DateTime| self.pattern.find_next_occurrence(&local, false).ok();
        if self.is_flowing { zone.flowing(after, next) } else { zone.fixed(after, next) }
    }
}

fn nickname(text: &str) -> Result<String, PlanError> {
    if !NICKNAMES.contains(&text) {
        let rule = "one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly";
        return Err(PlanError::new(FIELD, "bad_value", rule));
    }
    Ok(if text == "@MIDNIGHT" { "@DAILY".to_owned() } else { text.to_owned() })
}

fn read(text: &str) -> Option<croner::Cron> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text).ok()
}

/// The fields of an expression with their texts; five begin with the minute.
fn fields(text: &str) -> Vec<(Field, &str)> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let first = Field::ALL.len().saturating_sub(words.len());
    Field::ALL.into_iter().skip(first).zip(words).collect()
}

fn check_words(text: &str) -> Result<(), PlanError> {
    if text.starts_with('@') {
        return Ok(());
    }
    for (field, text) in fields(text) {
        if !text.split([',', '-', '/', '#']).all(|word| field.knows(word)) {
            return Err(field.error());
        }
    }
    Ok(())
}

/// Says which field is to blame.
fn explain(text: &str) -> PlanError {
    let count = text.split_ascii_whitespace().count();
    if !(5..=6).contains(&count) {
        let rule =
            "5 fields (minute, hour, day of the month, month, weekday), 6 with the second first, or @daily";
        return PlanError::new(FIELD, "bad_value", rule);
    }
    let blamed = fields(text).into_iter().find(|(field, text)| {
        let alone = Field::ALL.map(|other| if other == *field { text } else { "*" });
        read(&alone.join(" ")).is_none()
    });
    blamed.map_or_else(|| PlanError::new(FIELD, "bad_value", "cannot be read"), |(field, _)| field.error())
}
