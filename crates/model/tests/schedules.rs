//! When schedules fire: kinds, zones, changes of the clocks, bounds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use taskloom_model::{
    Calendar, Misfire, Plan, PlanError, SkipReason, Spec, Timestamp, Unit, Verdict, When, Window, Zone,
    jitter, judge,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(spec: Spec, zone: &str) -> Plan {
    Plan::new(spec, Zone::named(zone).unwrap(), Window::default(), at("2000-01-01T00:00:00Z"))
}

fn cron(text: &str) -> Spec {
    Spec::cron(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn daily(time: &str) -> Spec {
    Spec::Calendar(Calendar::daily(time.parse().unwrap()))
}

/// The next ticks as the zone's clocks show them.
fn shown(plan: &Plan, after: &str, count: usize) -> Vec<String> {
    plan.upcoming(at(after)).take(count).map(|tick| plan.zone().show(tick)).collect()
}

#[test]
fn weekly_monthly_and_daily_follow_the_calendar() {
    let weekly = Calendar::weekly(&[5, 1, 3], "14:30:00".parse().unwrap()).unwrap();
    assert_eq!(
        shown(&plan(Spec::Calendar(weekly), "Asia/Shanghai"), "2026-11-24T00:00:00Z", 4),
        [
            "2026-11-25T14:30:00+08:00",
            "2026-11-27T14:30:00+08:00",
            "2026-11-30T14:30:00+08:00",
            "2026-12-02T14:30:00+08:00"
        ]
    );
    let monthly = Calendar::monthly(&[1, 30, -1], "09:00".parse().unwrap()).unwrap();
    assert_eq!(
        shown(&plan(Spec::Calendar(monthly), "UTC"), "2027-01-30T10:00:00Z", 6),
        [
            "2027-01-31T09:00:00+00:00",
            "2027-02-01T09:00:00+00:00",
            "2027-02-28T09:00:00+00:00",
            "2027-03-01T09:00:00+00:00",
            "2027-03-30T09:00:00+00:00",
            "2027-03-31T09:00:00+00:00"
        ]
    );
    let third_last = Calendar::monthly(&[-3], "23:59:59".parse().unwrap()).unwrap();
    assert_eq!(
        shown(&plan(Spec::Calendar(third_last), "UTC"), "2028-02-01T00:00:00Z", 2),
        ["2028-02-27T23:59:59+00:00", "2028-03-29T23:59:59+00:00"]
    );
    assert_eq!(
        shown(&plan(daily("9:05"), "America/New_York"), "2026-07-01T13:05:00Z", 1),
        ["2026-07-02T09:05:00-04:00"]
    );
}

#[test]
fn a_missing_date_is_left_out() {
    let last = Calendar::monthly(&[31], "00:00".parse().unwrap()).unwrap();
    let months: Vec<String> = shown(&plan(Spec::Calendar(last), "UTC"), "2027-01-01T00:00:00Z", 5)
        .iter()
        .map(|tick| tick[..10].to_owned())
        .collect();
    assert_eq!(months, ["2027-01-31", "2027-03-31", "2027-05-31", "2027-07-31", "2027-08-31"]);
}

#[test]
fn cron_reads_five_and_six_fields_names_and_nicknames() {
    for (expression, expected) in [
        ("0 0 * * *", "2026-11-25T00:00:00+00:00"),
        ("*/10 * * * * *", "2026-11-24T17:00:10+00:00"),
        ("30 9 * jan-mar mon", "2027-01-04T09:30:00+00:00"),
        ("0 12 * * 7", "2026-11-29T12:00:00+00:00"),
        ("0 12 ? * SUN", "2026-11-29T12:00:00+00:00"),
        ("@hourly", "2026-11-24T18:00:00+00:00"),
        ("@daily", "2026-11-25T00:00:00+00:00"),
        ("@midnight", "2026-11-25T00:00:00+00:00"),
        ("@weekly", "2026-11-29T00:00:00+00:00"),
        ("@monthly", "2026-12-01T00:00:00+00:00"),
        ("@yearly", "2027-01-01T00:00:00+00:00"),
        ("0 0 L * *", "2026-11-30T00:00:00+00:00"),
        // POSIX: either the date or the weekday, if both are given.
        ("0 0 13 * FRI", "2026-11-27T00:00:00+00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
    ] {
        let plan = plan(cron(expression), "UTC");
        assert_eq!(shown(&plan, "2026-11-24T17:00:00Z", 1), [expected], "{expression}");
    }
    let both = plan(cron("0 0 13 * FRI"), "UTC");
    let days: Vec<String> = shown(&both, "2026-12-01T00:00:00Z", 4).iter().map(|t| t[5..10].into()).collect();
    assert_eq!(days, ["12-04", "12-11", "12-13", "12-18"]);
}

#[test]
fn what_is_no_cron_names_the_field() {
    for (expression, word) in [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("* * * * * * *", "5 fields"),
        ("60 * * * *", "the minute "),
        ("MON * * * *", "the minute "),
        ("* 24 * * *", "the hour "),
        ("* * 32 * *", "the day of the month "),
        ("* * * 13 *", "the month "),
        ("* * * 1JAN *", "the month "),
        ("* * * * 8", "the weekday "),
        ("* * * * FUNDAY", "the weekday "),
        ("* * * * FRI-MON", "the weekday "),
        ("1,,2 * * * *", "the minute "),
        ("*/0 * * * *", "the minute "),
        ("61 * * * * *", "the second "),
        ("@reboot", "@yearly"),
        ("ÄÖ * * * *", "the minute "),
    ] {
        let PlanError { field, message, .. } = Spec::cron(expression).unwrap_err();
        assert!(field == "cron_expression" && message.contains(word), "{expression}: {message}");
    }
    assert!(Spec::cron(&"1,".repeat(500)).is_err());
}

#[test]
fn what_never_comes_ends() {
    for expression in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30 2 *", "* * * 30 2 *"] {
        let plan = plan(cron(expression), "Europe/Berlin");
        assert_eq!(plan.next_after(at("2026-01-01T00:00:00Z")), None);
        assert!(plan.never_comes(), "{expression}");
    }
    let over = Window { start: None, end: Some(at("1980-01-01T00:00:00Z")) };
    for spec in [cron("0 0 29 2 *"), cron("* * * * *"), daily("09:00"), Spec::Manual] {
        let plan = Plan::new(spec, Zone::UTC, over, at("2000-01-01T00:00:00Z"));
        assert!(!plan.never_comes() && plan.next_after(at("2026-01-01T00:00:00Z")).is_none());
    }
}

#[test]
fn a_fixed_time_in_a_gap_runs_once_after_it() {
    for (zone, time, after, expected) in [
        (
            "Europe/Berlin",
            "02:30",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "America/New_York",
            "02:30",
            "2026-03-07T12:00:00Z",
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
        ),
        // Half an hour.
        (
            "Australia/Lord_Howe",
            "02:15",
            "2026-10-03T00:00:00Z",
            ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        // The 30th was left out altogether.
        (
            "Pacific/Apia",
            "09:00",
            "2011-12-29T20:00:00Z",
            ["2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"],
        ),
    ] {
        for spec in [daily(time), cron(&format!("{} {} * * *", &time[3..], &time[..2]))] {
            assert_eq!(shown(&plan(spec, zone), after, 2), expected, "{zone}");
        }
    }
    let several = plan(cron("*/20 2 * * *"), "Europe/Berlin");
    assert_eq!(
        shown(&several, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]
    );
}

#[test]
fn a_fixed_time_in_a_fold_runs_once_the_first_time() {
    for (zone, time, after, expected) in [
        (
            "Europe/Berlin",
            "02:30",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "America/New_York",
            "01:30",
            "2026-10-31T12:00:00Z",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "01:45",
            "2026-04-04T00:00:00Z",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
    ] {
        for spec in [daily(time), cron(&format!("{} {} * * *", &time[3..], &time[..2]))] {
            assert_eq!(shown(&plan(spec, zone), after, 2), expected, "{zone}");
        }
    }
    // Asked for in the repeated hour itself.
    let plan = plan(daily("02:30"), "Europe/Berlin");
    assert_eq!(shown(&plan, "2026-10-25T01:10:00Z", 1), ["2026-10-26T02:30:00+01:00"]);
}

#[test]
fn what_runs_through_every_hour_follows_real_time() {
    let plan = plan(cron("*/30 * * * *"), "Europe/Berlin");
    assert_eq!(
        shown(&plan, "2026-03-29T00:00:00Z", 3),
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]
    );
    assert_eq!(
        shown(&plan, "2026-10-25T00:00:00Z", 4),
        [
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00"
        ]
    );
}

#[test]
fn intervals_are_real_time_from_their_anchor() {
    let created = at("2026-03-28T11:00:00.7Z");
    let spec = || Spec::interval(1, Unit::Days).unwrap();
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let plan = Plan::new(spec(), berlin.clone(), Window::default(), created);
    assert_eq!(
        shown(&plan, "2026-03-28T11:00:00.7Z", 2),
        ["2026-03-29T13:00:00+02:00", "2026-03-30T13:00:00+02:00"]
    );
    let window = Window { start: Some(at("2026-04-01T00:00:00Z")), end: Some(at("2026-04-03T00:00:00Z")) };
    let bounded = Plan::new(spec(), berlin, window, created);
    assert_eq!(
        bounded.upcoming(created).collect::<Vec<_>>(),
        ["2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z", "2026-04-03T00:00:00Z"].map(at)
    );
    for (count, unit) in [(0, Unit::Seconds), (522, Unit::Weeks), (u64::MAX, Unit::Weeks)] {
        assert!(Spec::interval(count, unit).is_err());
    }
}

#[test]
fn once_at_once_and_never() {
    let now = at("2026-11-24T17:00:00.25Z");
    let made = |spec| Plan::new(spec, Zone::named("Asia/Shanghai").unwrap(), Window::default(), now);
    for (text, expected) in [
        ("2026-12-25 10:00:00", "2026-12-25T02:00:00Z"),
        ("2026-12-25T10:00", "2026-12-25T02:00:00Z"),
        ("2026-12-25T10:00:00Z", "2026-12-25T10:00:00Z"),
        ("2026-12-25 10:00:00+01:00", "2026-12-25T09:00:00Z"),
    ] {
        let once = made(Spec::Once(text.parse::<When>().unwrap()));
        assert_eq!(once.first(now), Some(at(expected)), "{text}");
        assert_eq!(once.next_after(at(expected)), None);
    }
    for text in
        ["2026-12-25", "tomorrow", "2026-12-25 10:00[Asia/Tokyo]", "2026-13-01 00:00", "1960-01-01 00:00"]
    {
        assert!(text.parse::<When>().is_err(), "{text}");
    }
    assert_eq!(made(Spec::Immediate).first(now), Some(now));
    assert_eq!(made(Spec::Immediate).next_after(now), None);
    assert_eq!(made(Spec::Manual).first(now), None);
}

#[test]
fn zones_are_iana_names() {
    for name in ["UTC", "Etc/UTC", "Asia/Shanghai", "america/argentina/Buenos_Aires"] {
        assert!(Zone::named(name).is_some(), "{name}");
    }
    for name in
        ["", "local", "Mars/Olympus", "UTC+3", "EST5EDT,M3.2.0,M11.1.0", "../etc/passwd", "Etc/Unknown"]
    {
        assert!(Zone::named(name).is_none(), "{name}");
    }
    assert_eq!(Zone::named("asia/shanghai").unwrap().name(), "Asia/Shanghai");
}

#[test]
fn missed_ticks_follow_their_policy() {
    let (now, hour) = (at("2026-11-24T17:00:00Z"), Duration::from_secs(3_600));
    let ago = |seconds| now.minus(Duration::from_secs(seconds));
    let judge = |policy, late, next: Option<u64>| judge(policy, hour, ago(late), next.map(ago), now);
    for policy in Misfire::ALL {
        assert_eq!(judge(*policy, 60, Some(30)), Verdict::Fire, "in time");
    }
    assert_eq!(judge(Misfire::Skip, 61, None), Verdict::Skip(SkipReason::Misfire));
    assert_eq!(judge(Misfire::RunOnce, 9_000, Some(8_000)), Verdict::Skip(SkipReason::Superseded));
    assert_eq!(judge(Misfire::RunOnce, 9_000, None), Verdict::Fire);
    assert_eq!(judge(Misfire::RunAll, 3_600, Some(3_000)), Verdict::Fire);
    assert_eq!(judge(Misfire::RunAll, 3_601, Some(3_000)), Verdict::Skip(SkipReason::TooLate));
}

#[test]
fn jitter_is_the_same_each_time_and_spread() {
    let most = Duration::from_secs(10);
    let of = |schedule: u128, tick| jitter(uuid::Uuid::from_u128(schedule), tick, most);
    let tick = at("2026-11-24T17:00:00Z");
    assert_eq!(of(1, tick), of(1, tick));
    assert_ne!(of(1, tick), of(1, tick.plus(Duration::from_secs(1))));
    let all: Vec<Duration> = (0..1_000).map(|schedule| of(schedule, tick)).collect();
    assert!(all.iter().all(|jitter| *jitter < most));
    let late = all.iter().filter(|jitter| **jitter > most / 2).count();
    assert!((400..600).contains(&late), "{late}");
}

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "Pacific/Apia"];

fn zone_of(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn local(zone: &TimeZone, tick: Timestamp) -> jiff::civil::DateTime {
    zone.to_datetime(jiff::Timestamp::from_microsecond(tick.as_micros()).unwrap())
}

/// Whether the clocks change at this very instant.
fn is_change(zone: &TimeZone, tick: Timestamp) -> bool {
    let here = jiff::Timestamp::from_microsecond(tick.as_micros()).unwrap();
    zone.following(here - jiff::Span::new().microseconds(1))
        .next()
        .is_some_and(|change| change.timestamp() == here)
}

fn specs() -> impl Strategy<Value = Spec> {
    let time = (0u8..24, 0u8..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    prop_oneof![
        time.clone().prop_map(|time| daily(&time)),
        (proptest::collection::vec(1i64..=7, 1..4), time.clone()).prop_map(|(days, time)| {
            Spec::Calendar(Calendar::weekly(&days, time.parse().unwrap()).unwrap())
        }),
        (proptest::collection::vec(prop_oneof![1i64..=31, -31i64..=-1], 1..4), time).prop_map(
            |(dates, time)| { Spec::Calendar(Calendar::monthly(&dates, time.parse().unwrap()).unwrap()) }
        ),
        (1u64..5_000, prop_oneof![Just(Unit::Seconds), Just(Unit::Minutes), Just(Unit::Hours)])
            .prop_map(|(count, unit)| Spec::interval(count, unit).unwrap()),
        (1u32..30, 0u32..24).prop_map(|(step, hour)| cron(&format!("*/{step} {hour} * * *"))),
        (1u32..40, 1u32..29).prop_map(|(step, date)| cron(&format!("*/{step} * {date} * MON"))),
    ]
}

proptest! {
    #[test]
    fn ticks_rise_and_stay_within_the_window(
        spec in specs(), zone in proptest::sample::select(&ZONES[..]),
        from in 1_300_000_000i64..1_800_000_000, before in 0i64..100_000_000, long in 0i64..40_000_000,
    ) {
        let start = Timestamp::from_micros(from * 1_000_000);
        let end = start.plus(Duration::from_secs(long.unsigned_abs()));
        let window = Window { start: Some(start), end: Some(end) };
        let plan = Plan::new(spec, Zone::named(zone).unwrap(), window, start);
        let mut last = start.minus(Duration::from_secs(before.unsigned_abs()));
        for tick in plan.upcoming(last).take(60) {
            prop_assert!(tick > last && tick >= start && tick <= end);
            // Asked for from any instant between, it is the same.
            let between = Timestamp::from_micros(i64::midpoint(last.as_micros(), tick.as_micros() - 1).max(last.as_micros()));
            prop_assert_eq!(plan.next_after(between), Some(tick));
            last = tick;
        }
    }

    #[test]
    fn a_calendar_has_every_one_of_its_days_once(
        dates in proptest::collection::vec(prop_oneof![1i64..=31, -31i64..=-1], 1..4),
        hour in 0i8..24, minute in 0i8..60, zone in proptest::sample::select(&ZONES[..]),
        from in 1_300_000_000i64..1_800_000_000,
    ) {
        let (from, name) = (Timestamp::from_micros(from * 1_000_000), zone);
        let calendar = Calendar::monthly(&dates, format!("{hour:02}:{minute:02}").parse().unwrap()).unwrap();
        let plan = plan(Spec::Calendar(calendar), name);
        let zone = zone_of(name);
        let until = from.plus(Duration::from_secs(400 * 86_400));
        let ticks: Vec<Timestamp> = plan.upcoming(from).take_while(|tick| *tick <= until).collect();
        for tick in &ticks {
            let shown = local(&zone, *tick);
            let is_on_time = (shown.hour(), shown.minute()) == (hour, minute) && dates.iter().any(|date| {
                let day = i64::from(shown.day());
                *date == day || *date == day - i64::from(shown.date().days_in_month()) - 1
            });
            prop_assert!(is_on_time || is_change(&zone, *tick), "{}", plan.zone().show(*tick));
        }
        let mut expected = 0;
        let mut day = local(&zone, from).date();
        while day <= local(&zone, until).date() {
            let has = dates.iter().any(|date| {
                *date == i64::from(day.day()) || *date == i64::from(day.day() - day.days_in_month() - 1)
            });
            if has {
                // The library's own way: a gap is left to its later side, which is no earlier than its end.
                let instant = zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0)).compatible().unwrap();
                let instant = Timestamp::from_micros(instant.as_microsecond());
                expected += usize::from(instant > from && instant <= until);
            }
            day = day.tomorrow().unwrap();
        }
        prop_assert!(ticks.len().abs_diff(expected) <= 1, "{} ticks, {} days", ticks.len(), expected);
    }

    #[test]
    fn a_flowing_cron_fires_whenever_the_clocks_show_it(
        step in 1i64..60, zone in proptest::sample::select(&ZONES[..]), year in 2011i16..2030, change in 0usize..4,
    ) {
        let (name, zone) = (zone, zone_of(zone));
        let new_year = jiff::civil::date(year, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let Some(change) = zone.following(new_year).nth(change) else { return Ok(()) };
        let from = Timestamp::from_micros(change.timestamp().as_microsecond()).minus(Duration::from_secs(5 * 3_600));
        let plan = plan(cron(&format!("*/{step} * * * *")), name);
        let minutes = (1..=600u64).map(|minute| from.plus(Duration::from_secs(60 * minute)));
        let shown: Vec<Timestamp> =
            minutes.filter(|at| i64::from(local(&zone, *at).minute()) % step == 0).collect();
        let until = from.plus(Duration::from_secs(600 * 60));
        let ticks: Vec<Timestamp> = plan.upcoming(from).take_while(|tick| *tick <= until).collect();
        prop_assert_eq!(ticks, shown);
    }
}
