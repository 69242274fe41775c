//! When a schedule fires.
//!
//! A [`Plan`] is a pure function from an instant to the next tick. Local times are those of the plan's [`Zone`]: one that
//! a change of the clocks leaves out happens once, at the first instant after the gap; one that it repeats happens once,
//! the first time. What runs through every hour, such as `*/5 * * * *`, follows real time instead: nothing is made up for
//! the hour that is left out, and the hour that is repeated is run through twice. Intervals are real time anyway.

mod calendar;
mod clock24;
mod cron;
mod error;
mod kind;
mod policy;
mod when;
mod zone;

use std::time::Duration;

use crate::Timestamp;

pub use calendar::Calendar;
pub use clock24::Clock24;
pub use error::PlanError;
pub use kind::{ScheduleType, Unit};
pub use policy::{Misfire, Overlap, SkipReason, TickOutcome, Verdict, jitter, judge};
pub use when::When;
pub use zone::Zone;

use cron::Cron;

/// What a plan is made of, checked.
#[derive(Debug, Clone)]
pub enum Spec {
    /// By a cron expression.
    Cron(Box<Cron>),
    /// Every so often, in real time.
    Interval(Duration),
    /// At a time of some days.
    Calendar(Calendar),
    /// Once.
    Once(When),
    /// Once, at once.
    Immediate,
    /// Never by itself.
    Manual,
}

impl Spec {
    /// The longest interval: ten years.
    const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

    /// From a cron expression of five fields, or six with the seconds first, or a name such as `@daily`.
    ///
    /// # Errors
    /// The field of the expression that cannot be read.
    pub fn cron(expression: &str) -> Result<Self, PlanError> {
        Cron::parse(expression).map(|cron| Self::Cron(Box::new(cron)))
    }

    /// Every `count` units, a second to ten years.
    ///
    /// # Errors
    /// It is shorter or longer.
    pub fn interval(count: u64, unit: Unit) -> Result<Self, PlanError> {
        let span = Duration::from_secs(unit.seconds().saturating_mul(count));
        if span.is_zero() || span > Self::LONGEST {
            return Err(PlanError::new("interval", "out_of_range", "1 second to 10 years"));
        }
        Ok(Self::Interval(span))
    }
}

/// The time in which a plan is in force; ticks at its very ends count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// No tick before this instant.
    pub start: Option<Timestamp>,
    /// No tick after this instant.
    pub end: Option<Timestamp>,
}

/// When a schedule fires.
#[derive(Debug, Clone)]
pub struct Plan {
    spec: Spec,
    zone: Zone,
    window: Window,
    anchor: Timestamp,
}

/// The smallest step of time.
const TICK: Duration = Duration::from_micros(1);

impl Plan {
    /// A plan in a zone. Intervals are counted from the window's start, or from `created` if it has none; what happens
    /// at once happens then.
    pub fn new(spec: Spec, zone: Zone, window: Window, created: Timestamp) -> Self {
        let anchor = match (window.start, &spec) {
            (Some(start), _) => start,
            // Whole seconds: nobody wants to read fractions in every tick.
            (None, Spec::Interval(_)) => {
                Timestamp::from_micros(created.as_micros() - created.as_micros() % 1_000_000)
            }
            (None, _) => created,
        };
        Self { spec, zone, window, anchor }
    }

    /// The zone of its local times.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first tick strictly after an instant; none if there is no more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = match self.window.start {
            Some(start) if after < start => start.minus(TICK),
            _ => after,
        };
        let next = match &self.spec {
            Spec::Cron(cron) => cron.next_after(&self.zone, after),
            Spec::Calendar(calendar) => self.zone.fixed(after, |local| calendar.next(local)),
            Spec::Interval(span) => self.interval(*span, after),
            Spec::Once(when) => when.instant(&self.zone).filter(|at| *at > after),
            Spec::Immediate => Some(self.anchor).filter(|at| *at > after),
            Spec::Manual => None,
        };
        next.filter(|next| self.window.end.is_none_or(|end| *next <= end))
    }

    /// Whether no time ever fits it, whatever its window, as with a cron expression that means the 31st of February.
    pub fn never_comes(&self) -> bool {
        matches!(&self.spec, Spec::Cron(cron) if cron.next_after(&self.zone, Timestamp::MIN).is_none())
    }

    /// The first tick of a plan that is in force from `now` on: that of one which happens at once is `now` itself.
    pub fn first(&self, now: Timestamp) -> Option<Timestamp> {
        match self.spec {
            Spec::Immediate => self.next_after(self.anchor.minus(TICK)),
            _ => self.next_after(now),
        }
    }

    /// The ticks after an instant, in order.
    pub fn upcoming(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
    }

    fn interval(&self, span: Duration, after: Timestamp) -> Option<Timestamp> {
        let (anchor, after) = (i128::from(self.anchor.as_micros()), i128::from(after.as_micros()));
        let span = span.as_micros().cast_signed();
        let passed = if after < anchor { 0 } else { (after - anchor) / span + 1 };
        let next = i64::try_from(anchor + passed * span).ok()?;
        (next <= Timestamp::MAX.as_micros()).then(|| Timestamp::from_micros(next))
    }
}
