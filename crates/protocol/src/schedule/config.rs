//! The `schedule_config` of each type, read into what a plan is made of.

use serde_json::{Map, Value};
use taskloom_model::{Calendar, Clock24, PlanError, ScheduleType, Spec, Unit, When};

use crate::{FieldError, Json, check_json};

/// The longest config in bytes.
const LONGEST: usize = 4 << 10;

/// Reads the config of this type.
pub(super) fn read(kind: ScheduleType, config: Option<&Json>) -> Result<Spec, FieldError> {
    let config = object(config)?;
    let known = known(kind);
    if let Some(unknown) = config.keys().find(|key| !known.contains(&key.as_str())) {
        let name: String = unknown.chars().filter(|c| !c.is_control()).take(100).collect();
        let rule = match known {
            [] => format!("{kind} takes no fields"),
            _ => format!("not a field of {kind}; it takes {}", known.join(", ")),
        };
        return Err(field(&name, "unknown_field", rule));
    }
    let config = Config(config);
    let spec = match kind {
        ScheduleType::Cron => Spec::cron(config.text("cron_expression", "0 0 * * *")?),
        ScheduleType::Interval => {
            let unit = config.text("unit", "minutes")?;
            let unit: Unit = unit.parse().map_err(|rule| field("unit", "bad_value", rule))?;
            Spec::interval(config.count("interval")?, unit)
        }
        ScheduleType::Daily => Ok(Spec::Calendar(Calendar::daily(config.time()?))),
        ScheduleType::Weekly => {
            Calendar::weekly(&config.numbers("days", "[1, 5]")?, config.time()?).map(Spec::Calendar)
        }
        ScheduleType::Monthly => {
            Calendar::monthly(&config.numbers("dates", "[1, 15]")?, config.time()?).map(Spec::Calendar)
        }
        ScheduleType::Scheduled => {
            let when = config.text("datetime", "2026-12-25 10:00:00")?;
            let when: When = when.parse().map_err(|rule| field("datetime", "bad_value", rule))?;
            Ok(Spec::Once(when))
        }
        ScheduleType::Immediate => Ok(Spec::Immediate),
        ScheduleType::Manual => Ok(Spec::Manual),
    };
    spec.map_err(|PlanError { field: name, rule, message }| field(name, rule, message))
}

fn known(kind: ScheduleType) -> &'static [&'static str] {
    match kind {
        ScheduleType::Cron => &["cron_expression"],
        ScheduleType::Interval => &["interval", "unit"],
        ScheduleType::Daily => &["time"],
        ScheduleType::Weekly => &["days", "time"],
        ScheduleType::Monthly => &["dates", "time"],
        ScheduleType::Scheduled => &["datetime"],
        ScheduleType::Immediate | ScheduleType::Manual => &[],
    }
}

fn object(config: Option<&Json>) -> Result<Map<String, Value>, FieldError> {
    let Some(config) = config else { return Ok(Map::new()) };
    let refuse = |kind: &str, rule: String| FieldError::body("schedule_config", kind, rule);
    if config.get().len() > LONGEST {
        return Err(refuse("too_long", format!("at most {LONGEST} bytes")));
    }
    check_json(config.get(), 2).map_err(|error| refuse("bad_json", error.to_string()))?;
    serde_json::from_str(config.get()).map_err(|_| refuse("wrong_type", "must be an object".into()))
}

fn field(name: &str, kind: &str, rule: impl Into<String>) -> FieldError {
    let loc = vec!["body".into(), "schedule_config".into(), name.into()];
    FieldError { loc, msg: rule.into(), kind: kind.into() }
}

struct Config(Map<String, Value>);

impl Config {
    fn get(&self, name: &str, example: &str) -> Result<&Value, FieldError> {
        let missing = || field(name, "missing", format!("required, such as {example}"));
        self.0.get(name).filter(|value| !value.is_null()).ok_or_else(missing)
    }

    fn text(&self, name: &str, example: &str) -> Result<&str, FieldError> {
        let wrong = || field(name, "wrong_type", format!("a text such as {example}"));
        self.get(name, example)?.as_str().ok_or_else(wrong)
    }

    fn time(&self) -> Result<Clock24, FieldError> {
        self.text("time", "09:00:00")?.parse().map_err(|rule| field("time", "bad_value", rule))
    }

    fn count(&self, name: &str) -> Result<u64, FieldError> {
        let value = self.get(name, "5")?;
        value.as_u64().ok_or_else(|| field(name, "wrong_type", "a whole number, at least 1"))
    }

    fn numbers(&self, name: &str, example: &str) -> Result<Vec<i64>, FieldError> {
        let wrong = || field(name, "wrong_type", format!("a list of whole numbers such as {example}"));
        let list = self.get(name, example)?.as_array().ok_or_else(wrong)?;
        list.iter().map(|value| value.as_i64().ok_or_else(wrong)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ScheduleType, config: &str) -> (String, String) {
        let config = Json::from(serde_json::value::RawValue::from_string(config.to_owned()).unwrap());
        let error = read(kind, Some(&config)).unwrap_err();
        (error.loc.join("."), error.kind)
    }

    #[test]
    fn takes_the_shapes_that_users_have() {
        use ScheduleType::{Cron, Daily, Immediate, Interval, Manual, Monthly, Scheduled, Weekly};
        for (kind, config) in [
            (Weekly, r#"{"days":[1,3,5],"time":"14:30:00"}"#),
            (Interval, r#"{"interval":5,"unit":"minutes"}"#),
            (Interval, r#"{"interval":1,"unit":"weeks"}"#),
            (Daily, r#"{"time":"09:00:00"}"#),
            (Daily, r#"{"time":"09:00"}"#),
            (Monthly, r#"{"dates":[1,15,-1],"time":"09:00:00"}"#),
            (Cron, r#"{"cron_expression":"0 0 * * *"}"#),
            (Scheduled, r#"{"datetime":"2026-12-25 10:00:00"}"#),
            (Immediate, "{}"),
            (Manual, "{}"),
        ] {
            let config = serde_json::value::RawValue::from_string(config.to_owned()).unwrap();
            read(kind, Some(&config)).unwrap();
        }
        read(Immediate, None).unwrap();
    }

    #[test]
    fn an_example_keeps_the_rule_itself() {
        use ScheduleType::{Monthly, Weekly};
        for (kind, config, example) in [
            (Weekly, r#"{"days":"1","time":"14:30"}"#, "a list of whole numbers such as [1, 5]"),
            (Weekly, r#"{"time":"14:30"}"#, "required, such as [1, 5]"),
            (Monthly, r#"{"dates":[1.5],"time":"14:30"}"#, "a list of whole numbers such as [1, 15]"),
        ] {
            let config = Json::from(serde_json::value::RawValue::from_string(config.to_owned()).unwrap());
            assert_eq!(read(kind, Some(&config)).unwrap_err().msg, example);
        }
    }

    #[test]
    fn names_the_field_and_the_rule() {
        use ScheduleType::{Cron, Daily, Immediate, Interval, Monthly, Scheduled, Weekly};
        for (kind, config, place, rule) in [
            (Weekly, r#"{"days":[0],"time":"14:30"}"#, ".days", "out_of_range"),
            (Weekly, r#"{"days":[],"time":"14:30"}"#, ".days", "too_short"),
            (Weekly, r#"{"days":"1","time":"14:30"}"#, ".days", "wrong_type"),
            (Weekly, r#"{"time":"14:30"}"#, ".days", "missing"),
            (Monthly, r#"{"dates":[32],"time":"14:30"}"#, ".dates", "out_of_range"),
            (Monthly, r#"{"dates":[1.5],"time":"14:30"}"#, ".dates", "wrong_type"),
            (Daily, r#"{"time":"24:00"}"#, ".time", "bad_value"),
            (Daily, r#"{"time":900}"#, ".time", "wrong_type"),
            (Daily, r#"{"time":"09:00","days":[1]}"#, ".days", "unknown_field"),
            (Interval, r#"{"interval":0,"unit":"minutes"}"#, ".interval", "out_of_range"),
            (Interval, r#"{"interval":-5,"unit":"minutes"}"#, ".interval", "wrong_type"),
            (Interval, r#"{"interval":5,"unit":"months"}"#, ".unit", "bad_value"),
            (Cron, r#"{"cron_expression":"61 * * * *"}"#, ".cron_expression", "bad_value"),
            (Scheduled, r#"{"datetime":"tomorrow"}"#, ".datetime", "bad_value"),
            (Immediate, r#"{"now":true}"#, ".now", "unknown_field"),
            (Daily, r#""09:00""#, "", "wrong_type"),
            (Daily, r#"{"time":"09:00","time":"10:00"}"#, "", "bad_json"),
        ] {
            let expected = (format!("body.schedule_config{place}"), rule.to_owned());
            assert_eq!(refusal(kind, config), expected, "{config}");
        }
    }
}
