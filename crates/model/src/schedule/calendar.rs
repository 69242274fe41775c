//! A time of some days: daily, weekly, monthly.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use super::{Clock24, PlanError};

/// At a time of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    days: Days,
    time: Clock24,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    Every,
    /// 1 to 7, Monday is 1.
    Week(Vec<i8>),
    /// 1 to 31, or −1 to −31 from the end.
    Month(Vec<i8>),
}

/// How many days are looked at: no date is missing in two months that follow each other.
const HORIZON: usize = 100;

impl Calendar {
    /// Every day at this time.
    pub fn daily(time: Clock24) -> Self {
        Self { days: Days::Every, time }
    }

    /// On these weekdays at this time: 1 to 7, Monday is 1.
    ///
    /// # Errors
    /// There is none, or one is no weekday.
    pub fn weekly(days: &[i64], time: Clock24) -> Result<Self, PlanError> {
        let days = set("days", days, "weekdays from 1 (Monday) to 7 (Sunday)", |day| (1..=7).contains(&day))?;
        Ok(Self { days: Days::Week(days), time })
    }

    /// On these dates of every month at this time: 1 to 31, −1 is the last day, −2 the one before. A month without a
    /// date leaves it out.
    ///
    /// # Errors
    /// There is none, or one is no date.
    pub fn monthly(dates: &[i64], time: Clock24) -> Result<Self, PlanError> {
        let rule = "dates from 1 to 31, or -1 (the last day) to -31";
        let dates = set("dates", dates, rule, |date| (1..=31).contains(&date.abs()))?;
        Ok(Self { days: Days::Month(dates), time })
    }

    /// The first local time strictly after another.
    pub(super) fn next(&self, after: DateTime) -> Option<DateTime> {
        let mut date = after.date();
        for _ in 0..HORIZON {
            let at = date.to_datetime(self.time.time());
            if at > after && self.has(date) {
                return Some(at);
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn has(&self, date: Date) -> bool {
        match &self.days {
            Days::Every => true,
            Days::Week(days) => days.contains(&date.weekday().to_monday_one_offset()),
            Days::Month(dates) => {
                let from_end = date.day() - date.days_in_month() - 1;
                dates.contains(&date.day()) || dates.contains(&from_end)
            }
        }
    }
}

fn set(
    field: &'static str,
    given: &[i64],
    rule: &str,
    allowed: impl Fn(i64) -> bool,
) -> Result<Vec<i8>, PlanError> {
    if given.is_empty() {
        return Err(PlanError::new(field, "too_short", format!("at least one; {rule}")));
    }
    let day = |day: &i64| allowed(*day).then_some(*day as i8);
    let mut days: Vec<i8> = given
        .iter()
        .map(day)
        .collect::<Option<_>>()
        .ok_or_else(|| PlanError::new(field, "out_of_range", rule))?;
    days.sort_unstable();
    days.dedup();
    Ok(days)
}
