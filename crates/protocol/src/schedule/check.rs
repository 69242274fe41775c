//! The rules for schedules, and the plan that one describes.

use taskloom_model::{Misfire, Overlap, Plan, ScheduleType, Timestamp, Window, Zone};

use super::{CreateSchedule, PreviewSchedule, RunSchedule, config};
use crate::check::MAX_SECONDS;
use crate::{FieldError, Json, Limits, SubmitTask};

/// The longest catch-up window in seconds: 30 days.
const MAX_CATCH_UP: u64 = 30 * 86_400;
/// The longest jitter in seconds: a day.
const MAX_JITTER: f64 = 86_400.0;

impl CreateSchedule {
    /// The zone of one that names none.
    pub const DEFAULT_ZONE: &'static str = "UTC";
    /// What overlaps do in one that does not say.
    pub const DEFAULT_OVERLAP: Overlap = Overlap::Allow;
    /// What becomes of missed ticks in one that does not say.
    pub const DEFAULT_MISFIRE: Misfire = Misfire::RunOnce;
    /// The catch-up window of one that names none, in seconds.
    pub const DEFAULT_CATCH_UP: u64 = 3_600;

    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.name.is_empty() {
            errors.push(FieldError::body("name", "missing", "required: a name for people"));
        }
        errors.extend(self.task().check(limits));
        if self.catch_up.is_some_and(|seconds| seconds > MAX_CATCH_UP) {
            let rule = format!("seconds from 0 to {MAX_CATCH_UP}");
            errors.push(FieldError::body("catch_up", "out_of_range", rule));
        }
        if self.jitter.is_some_and(|seconds| !(0.0..=MAX_JITTER).contains(&seconds)) {
            let rule = format!("seconds from 0 to {MAX_JITTER}");
            errors.push(FieldError::body("jitter", "out_of_range", rule));
        }
        if let Some(error) = check_expiry(self.expires_in, "jitter", self.jitter) {
            errors.push(error);
        }
        errors
    }

    /// When it fires, if it is created at this time.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn plan(&self, created: Timestamp) -> Result<Plan, Vec<FieldError>> {
        let window = Window { start: self.start_at, end: self.end_at };
        plan(self.schedule_type, self.schedule_config.as_ref(), self.timezone.as_deref(), window, created)
    }
}

/// The rule that an expiry breaks, alone or with the wait before it.
///
/// A task is not to expire before it may start.
fn check_expiry(expires_in: Option<f64>, wait: &str, seconds: Option<f64>) -> Option<FieldError> {
    let expires_in = expires_in?;
    if !(0.001..=MAX_SECONDS).contains(&expires_in) {
        let rule = format!("seconds from 0.001 to {MAX_SECONDS}");
        return Some(FieldError::body("expires_in", "out_of_range", rule));
    }
    let is_late = seconds.is_some_and(|seconds| seconds > 0.0 && seconds >= expires_in);
    is_late.then(|| FieldError::body(wait, "out_of_range", "must be below expires_in"))
}

impl RunSchedule {
    /// Every rule that a task breaks over which this is laid; empty if none. `expires_in` is what holds for it: what is said
    /// here or else by the schedule.
    pub fn check(&self, task: &SubmitTask, expires_in: Option<f64>, limits: &Limits) -> Vec<FieldError> {
        let mut errors = task.check(limits);
        errors.extend(check_expiry(expires_in, "delay", self.delay));
        errors
    }
}

impl PreviewSchedule {
    /// The plan to look at.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn plan(&self, created: Timestamp) -> Result<Plan, Vec<FieldError>> {
        let window = Window { start: self.start_at, end: self.end_at };
        plan(self.schedule_type, self.schedule_config.as_ref(), self.timezone.as_deref(), window, created)
    }
}

fn plan(
    kind: Option<ScheduleType>,
    config: Option<&Json>,
    zone: Option<&str>,
    window: Window,
    created: Timestamp,
) -> Result<Plan, Vec<FieldError>> {
    let mut errors = Vec::new();
    let spec = if let Some(kind) = kind {
        config::read(kind, config).map_err(|error| errors.push(error)).ok()
    } else {
        let names = ScheduleType::ALL.map(ScheduleType::name).join(", ");
        errors.push(FieldError::body("schedule_type", "missing", format!("required: one of {names}")));
        None
    };
    let zone = Zone::named(zone.unwrap_or(CreateSchedule::DEFAULT_ZONE));
    if zone.is_none() {
        let rule = "the name of an IANA time zone, such as Asia/Shanghai";
        errors.push(FieldError::body("timezone", "bad_value", rule));
    }
    if let (Some(start), Some(end)) = (window.start, window.end)
        && end < start
    {
        errors.push(FieldError::body("end_at", "out_of_range", "must not lie before start_at"));
    }
    match (spec, zone) {
        (Some(spec), Some(zone)) if errors.is_empty() => Ok(Plan::new(spec, zone, window, created)),
        _ => Err(errors),
    }
}
