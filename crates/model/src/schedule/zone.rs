//! Time zones: what local times mean.

use std::fmt;
use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::Timestamp;

/// The IANA zones as they were when the program was built: no machine's own set of them changes what a schedule means.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Local times that are looked at in a row until one lies ahead; more than the seconds that any change of the clocks repeats.
const LOCAL_TRIES: usize = 100_000;
/// Changes of the clocks that are looked past; a zone has about two a year.
const CHANGES: usize = 20_000;

/// An IANA time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone of an IANA name such as `Asia/Shanghai`; none if there is none.
    pub fn named(name: &str) -> Option<Self> {
        let zone = BUNDLED.get(name).ok()?;
        (!zone.is_unknown() && zone.iana_name().is_some()).then_some(Self(zone))
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What its clocks show at an instant, as RFC 3339 with the offset.
    pub fn show(&self, at: Timestamp) -> String {
        let Ok(at) = jiff::Timestamp::from_microsecond(at.as_micros()) else { return String::new() };
        let zoned = at.to_zoned(self.0.clone());
        let format =
            if at.subsec_nanosecond() == 0 { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S%.6f%:z" };
        zoned.strftime(format).to_string()
    }

    /// The instant of a local time. One that the clocks leave out is the first instant after the gap; of one that they
    /// show twice it is the first.
    pub(super) fn resolve(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        let instant = match ambiguous.offset() {
            AmbiguousOffset::Gap { before, after } => {
                let (from, to) = (after.to_timestamp(local).ok()?, before.to_timestamp(local).ok()?);
                self.0
                    .following(from)
                    .take_while(|change| change.timestamp() <= to)
                    .find(|change| change.offset() == after)?
                    .timestamp()
            }
            _ => ambiguous.earlier().ok()?,
        };
        stamp(instant)
    }

    /// The first instant after another of a series of fixed local times, of which `next` gives the first after a local
    /// time.
    pub(super) fn fixed(
        &self,
        after: Timestamp,
        next: impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<Timestamp> {
        let mut local = self.0.to_datetime(instant(after)?);
        for _ in 0..LOCAL_TRIES {
            local = next(local)?;
            let at = self.resolve(local)?;
            if at > after {
                return Some(at);
            }
        }
        None
    }

    /// The first instant after another at which the clocks show one of a series of local times.
    pub(super) fn flowing(
        &self,
        after: Timestamp,
        next: impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<Timestamp> {
        let mut since = instant(after)?;
        let mut local = self.0.to_datetime(since);
        // Between two changes of the clocks local time is real time.
        for _ in 0..CHANGES {
            let at = self.0.to_offset(since).to_timestamp(next(local)?).ok()?;
            match self.0.following(since).next() {
                Some(change) if at >= change.timestamp() => {
                    since = change.timestamp();
                    local = self.0.to_datetime(since).checked_sub(jiff::Span::new().seconds(1)).ok()?;
                }
                _ => return stamp(at),
            }
        }
        None
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok()
}

/// None out of the range that the store keeps.
fn stamp(at: jiff::Timestamp) -> Option<Timestamp> {
    let micros = at.as_microsecond();
    (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros())
        .contains(&micros)
        .then(|| Timestamp::from_micros(micros))
}
