//! The invariants of ARCHITECTURE.md over random lives, and its drawing against the code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use taskloom_model::{
    Action, AttemptOutcome, Backoff, CRASH_CAP, Effect, Finish, Life, Limits, ParentEnd, ParentPolicy, Phase,
    REFUND_CAP, Reason, Refusal, Rules, Start, State, Timestamp, next, start,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);
const GRACE: Duration = Duration::from_secs(5);
const RETENTION: Duration = Duration::from_secs(3_600);

/// An action as a test draws it: epochs are relative, so that stale ones are common and right ones too.
#[derive(Debug, Clone)]
enum Draw {
    Promote,
    Claim(u8),
    Beat(u32),
    Finish(u32, Finish),
    Cancel(bool),
    Expire,
    Reap,
    Drain(u32),
    Parent(ParentEnd),
    Retry,
    RetryBehind(u32),
    MoreParents(u32),
    Move(Option<u64>),
    Admit,
    Purge,
}

fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        Just(Finish::Success),
        (0u64..100).prop_map(|s| Finish::Error { retry_in: (s < 50).then(|| Duration::from_secs(s)) }),
        Just(Finish::Fatal),
        Just(Finish::Timeout),
        (0u64..100).prop_map(|s| Finish::Snooze(Duration::from_secs(s))),
        Just(Finish::Cancelled),
    ]
}

fn parent() -> impl Strategy<Value = ParentEnd> {
    prop_oneof![
        3 => Just(ParentEnd::Satisfied),
        1 => prop::sample::select(ParentPolicy::ALL.to_vec()).prop_map(ParentEnd::Broken),
    ]
}

fn draw() -> impl Strategy<Value = Draw> {
    let stale = prop_oneof![4 => Just(0u32), 1 => 1u32..3];
    prop_oneof![
        3 => Just(Draw::Promote),
        4 => (0u8..3).prop_map(Draw::Claim),
        2 => stale.clone().prop_map(Draw::Beat),
        4 => (stale.clone(), finish()).prop_map(|(e, f)| Draw::Finish(e, f)),
        1 => any::<bool>().prop_map(Draw::Cancel),
        1 => Just(Draw::Expire),
        2 => Just(Draw::Reap),
        2 => stale.prop_map(Draw::Drain),
        2 => parent().prop_map(Draw::Parent),
        1 => Just(Draw::Retry),
        1 => (0u32..3).prop_map(Draw::RetryBehind),
        1 => (1u32..3).prop_map(Draw::MoreParents),
        1 => prop::option::of(0u64..200).prop_map(Draw::Move),
        3 => Just(Draw::Admit),
        1 => Just(Draw::Purge),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (1u32..4, prop::option::of(1u64..60), prop::option::of(0u64..2_000), any::<(bool, bool)>()).prop_map(
        |(max_attempts, timeout, expires, (concurrency, rate))| Rules {
            max_attempts,
            timeout: timeout.map(Duration::from_secs),
            backoff: Backoff::default(),
            expires_at: expires.map(|s| Timestamp::MIN.plus(Duration::from_secs(s))),
            limits: Limits { concurrency, rate },
        },
    )
}

fn action(draw: &Draw, life: &Life) -> Action {
    match *draw {
        Draw::Promote => Action::Promote,
        Draw::Claim(who) => Action::Claim { session: Uuid::from_u128(u128::from(who)), lease: LEASE },
        Draw::Beat(off) => Action::Beat { epoch: life.epoch.wrapping_sub(off), lease: LEASE },
        Draw::Finish(off, finish) => Action::Finish { epoch: life.epoch.wrapping_sub(off), finish },
        Draw::Cancel(force) => Action::Cancel { force },
        Draw::Expire => Action::Expire,
        Draw::Reap => Action::Reap { grace: GRACE },
        Draw::Drain(off) => Action::Drain { epoch: life.epoch.wrapping_sub(off) },
        Draw::Parent(end) => Action::ParentEnded(end),
        Draw::Retry => Action::Retry,
        Draw::RetryBehind(parents) => Action::RetryBehind { parents },
        Draw::MoreParents(edges) => Action::MoreParents { edges },
        Draw::Move(run_at) => {
            Action::Move { run_at: run_at.map(|s| Timestamp::MIN.plus(Duration::from_secs(s))) }
        }
        Draw::Admit => Action::Admit,
        Draw::Purge => Action::Purge { retention: RETENTION },
    }
}

/// What must hold of one step.
fn check_step(before: &Life, after: &Life, rules: &Rules, action: Action, rule: u8, now: Timestamp) {
    assert!(after.epoch >= before.epoch, "the epoch only rises");
    if before.state().is_terminal() && after != before {
        assert_eq!(rule, 11, "a terminal state changes only by T11");
        assert!(after.epoch > before.epoch, "T11 fences off whoever ran it before");
    }
    if let Action::Beat { epoch, .. } | Action::Finish { epoch, .. } | Action::Drain { epoch } = action {
        assert_eq!(epoch, before.epoch, "a worker's write counts only with the row's epoch");
        assert_eq!(before.state(), State::Running);
    }
    if after.attempt != before.attempt {
        assert_eq!((rule, before.state(), after.state()), (3, State::Ready, State::Running));
        assert_eq!((after.attempt, after.epoch), (before.attempt + 1, before.epoch + 1));
        assert!(rules.expires_at.is_none_or(|at| at > now), "nothing expired starts");
    }
    if let Phase::Running { cancel: true, .. } = before.phase {
        let allowed = [State::Running, State::Revoked, State::Succeeded];
        assert!(allowed.contains(&after.state()), "after a cancel: {:?}", after.state());
    }
    assert!(after.attempt <= rules.max_attempts + after.refunds, "claims ≤ max_attempts + refunds");
    assert!(after.crashes <= CRASH_CAP);
    assert!(after.refunds <= REFUND_CAP.max(after.attempt));
    match after.phase {
        Phase::Blocked { deps_left, .. } => assert!(deps_left > 0),
        Phase::Running { lease_until, started_at, .. } => assert!(lease_until > started_at),
        Phase::Ended { state, reason, .. } => {
            assert!(state.is_terminal());
            assert_eq!(reason.is_none(), state == State::Succeeded, "an end that is no success says why");
        }
        Phase::Scheduled { .. } | Phase::Limited(_) => assert_ne!(after.state(), State::Ready),
        Phase::Ready => assert!(
            rules.limits == Limits::default()
                || [3, 14, 15].contains(&rule)
                || before.state() == State::Ready
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_life_keeps_the_invariants(
        rules in rules(),
        deps in 0u32..4,
        delay in prop::option::of(0u64..100),
        steps in prop::collection::vec((draw(), 0u64..40, 0.0f64..1.0), 1..60),
    ) {
        let mut now = Timestamp::MIN.plus(Duration::from_secs(1));
        let run_at = delay.map(|s| now.plus(Duration::from_secs(s)));
        let mut life = start(Start { run_at, deps_left: deps, limits: rules.limits }, now);
        let mut claims = 0;
        for (draw, seconds, random) in steps {
            now = now.plus(Duration::from_secs(seconds));
            let action = action(&draw, &life);
            let Ok(step) = next(&life, &rules, action, now, random) else { continue };
            let Effect::Become(after) = step.effect else {
                prop_assert!(life.state().is_terminal(), "only the dead are buried");
                break;
            };
            check_step(&life, &after, &rules, action, step.rule, now);
            let left_running = life.state() == State::Running && after.state() != State::Running;
            prop_assert_eq!(step.attempt_end.is_some(), left_running, "each attempt ends once");
            if let Some(end) = step.attempt_end {
                prop_assert_eq!((end.attempt, end.epoch), (life.attempt, life.epoch));
                prop_assert!(end.started_at <= end.ended_at);
            }
            claims += u32::from(step.rule == 3 && after.state() == State::Running);
            prop_assert_eq!(after.attempt, claims);
            life = after;
        }
    }

    #[test]
    fn a_success_is_truthful_even_after_a_cancel(rules in rules(), cancel in any::<bool>()) {
        let now = Timestamp::MIN;
        let rules = Rules { expires_at: None, limits: Limits::default(), ..rules };
        let mut life = run(&rules, now);
        if cancel {
            life = apply(&life, &rules, Action::Cancel { force: false }, now);
            prop_assert_eq!(life.reason(), Some(Reason::Cancelling));
        }
        let finish = Action::Finish { epoch: life.epoch, finish: Finish::Success };
        prop_assert_eq!(apply(&life, &rules, finish, now).state(), State::Succeeded);
    }
}

fn plain_rules(max_attempts: u32) -> Rules {
    Rules {
        max_attempts,
        timeout: None,
        backoff: Backoff::default(),
        expires_at: None,
        limits: Limits::default(),
    }
}

fn apply(life: &Life, rules: &Rules, action: Action, now: Timestamp) -> Life {
    match next(life, rules, action, now, 0.5).unwrap().effect {
        Effect::Become(life) => life,
        Effect::Forget => panic!("forgotten by {action:?}"),
    }
}

fn run(rules: &Rules, now: Timestamp) -> Life {
    let claim = Action::Claim { session: Uuid::nil(), lease: LEASE };
    apply(&start(Start::default(), now), rules, claim, now)
}

#[test]
fn a_task_that_kills_its_workers_is_poisoned() {
    let rules = plain_rules(100);
    let mut now = Timestamp::MIN;
    let mut life = run(&rules, now);
    for crash in 1..=CRASH_CAP {
        now = now.plus(LEASE);
        life = apply(&life, &rules, Action::Reap { grace: GRACE }, now);
        if crash < CRASH_CAP {
            assert_eq!(life.state(), State::Scheduled, "crash {crash}");
            now = now.plus(Duration::from_secs(3_600));
            life = apply(&life, &rules, Action::Promote, now);
            life = apply(&life, &rules, Action::Claim { session: Uuid::nil(), lease: LEASE }, now);
        }
    }
    assert_eq!((life.state(), life.reason()), (State::Failed, Some(Reason::Poisoned)));
}

#[test]
fn a_stale_finish_is_refused_after_a_takeover() {
    let rules = plain_rules(5);
    let now = Timestamp::MIN;
    let first = run(&rules, now);
    let later = now.plus(LEASE);
    let lost = apply(&first, &rules, Action::Reap { grace: GRACE }, later);
    let due = later.plus(Duration::from_secs(3_600));
    let ready = apply(&lost, &rules, Action::Promote, due);
    let second = apply(&ready, &rules, Action::Claim { session: Uuid::max(), lease: LEASE }, due);
    let stale = Action::Finish { epoch: first.epoch, finish: Finish::Success };
    assert_eq!(next(&second, &rules, stale, due, 0.0).unwrap_err(), Refusal::LeaseLost);
}

#[test]
fn a_retry_by_hand_gives_all_attempts_again() {
    let rules = plain_rules(2);
    let now = Timestamp::MIN;
    let mut life = run(&rules, now);
    let fatal = |life: &Life| Action::Finish { epoch: life.epoch, finish: Finish::Fatal };
    life = apply(&life, &rules, fatal(&life), now);
    life = apply(&life, &rules, Action::Retry, now);
    for left in [true, false] {
        life = apply(&life, &rules, Action::Claim { session: Uuid::nil(), lease: LEASE }, now);
        assert_eq!(life.has_attempts_left(&rules), left);
        let error = Action::Finish { epoch: life.epoch, finish: Finish::Error { retry_in: None } };
        life = apply(&life, &rules, error, now);
        if left {
            life = apply(&life, &rules, Action::Promote, now.plus(Duration::from_secs(3_600)));
        }
    }
    assert_eq!((life.state(), life.reason()), (State::Failed, Some(Reason::Error)));
}

#[test]
fn a_drained_attempt_is_refunded_and_ready_at_once() {
    let rules = plain_rules(1);
    let life = run(&rules, Timestamp::MIN);
    let step = next(&life, &rules, Action::Drain { epoch: life.epoch }, Timestamp::MIN, 0.0).unwrap();
    assert_eq!(step.attempt_end.map(|e| e.outcome), Some(AttemptOutcome::Drained));
    let Effect::Become(life) = step.effect else { panic!("forgotten") };
    assert_eq!((life.state(), life.refunds), (State::Ready, 1));
    assert!(life.has_attempts_left(&rules));
}

#[test]
fn a_retry_behind_parents_waits_for_each_and_keeps_what_it_was() {
    let rules = plain_rules(2);
    let now = Timestamp::MIN;
    let failed = run(&rules, now);
    let failed = apply(&failed, &rules, Action::Finish { epoch: failed.epoch, finish: Finish::Fatal }, now);
    let mut life = apply(&failed, &rules, Action::RetryBehind { parents: 1 }, now);
    assert_eq!((life.epoch, life.attempt, life.refunds), (failed.epoch + 1, 1, 1));
    life = apply(&life, &rules, Action::MoreParents { edges: 2 }, now);
    for left in [2, 1, 0] {
        life = apply(&life, &rules, Action::ParentEnded(ParentEnd::Satisfied), now);
        let expected =
            if left == 0 { Phase::Ready } else { Phase::Blocked { deps_left: left, run_at: None } };
        assert_eq!(life.phase, expected);
    }
    assert_eq!(next(&life, &rules, Action::MoreParents { edges: 1 }, now, 0.0), Err(Refusal::WrongState));
    assert_eq!(next(&life, &rules, Action::RetryBehind { parents: 1 }, now, 0.0), Err(Refusal::NotTerminal));
}

/// All steps between states that the machine can take, found by walking lives with every action from every state.
fn reachable() -> BTreeSet<(u8, State, State)> {
    let mut found = BTreeSet::new();
    let far = Duration::from_secs(100_000);
    for rules in [
        plain_rules(1),
        plain_rules(5),
        Rules { expires_at: Some(Timestamp::MIN.plus(far)), ..plain_rules(5) },
        Rules { limits: Limits { concurrency: true, rate: true }, ..plain_rules(5) },
    ] {
        let now = Timestamp::MIN;
        let starts = [
            Start::default(),
            Start { run_at: Some(now.plus(LEASE)), ..Start::default() },
            Start { deps_left: 1, ..Start::default() },
            Start { run_at: Some(now.plus(far * 9)), deps_left: 2, limits: Limits::default() },
        ]
        .map(|from| Start { limits: rules.limits, ..from });
        // Breadth first: a life seen late would hide its successors.
        let mut open: VecDeque<_> = starts.map(|s| (start(s, now), 0)).into();
        let mut seen = BTreeSet::new();
        while let Some((life, depth)) = open.pop_front() {
            if depth > 5 || !seen.insert(format!("{life:?}")) {
                continue;
            }
            for action in every_action(&life) {
                for now in [now, now.plus(far * 2)] {
                    let Ok(step) = next(&life, &rules, action, now, 0.5) else { continue };
                    if let Effect::Become(after) = step.effect {
                        found.insert((step.rule, life.state(), after.state()));
                        open.push_back((after, depth + 1));
                    }
                }
            }
        }
    }
    found
}

fn every_action(life: &Life) -> Vec<Action> {
    let epoch = life.epoch;
    let finishes = [
        Finish::Success,
        Finish::Error { retry_in: None },
        Finish::Fatal,
        Finish::Timeout,
        Finish::Snooze(LEASE),
        Finish::Cancelled,
    ];
    let mut all: Vec<_> = finishes.map(|finish| Action::Finish { epoch, finish }).to_vec();
    all.extend(ParentPolicy::ALL.map(|p| Action::ParentEnded(ParentEnd::Broken(p))));
    all.extend([
        Action::Promote,
        Action::Claim { session: Uuid::nil(), lease: LEASE },
        Action::Beat { epoch, lease: LEASE },
        Action::Cancel { force: false },
        Action::Cancel { force: true },
        Action::Expire,
        Action::Reap { grace: GRACE },
        Action::Drain { epoch },
        Action::ParentEnded(ParentEnd::Satisfied),
        Action::Retry,
        Action::Admit,
        Action::RetryBehind { parents: 2 },
        Action::MoreParents { edges: 2 },
        Action::Move { run_at: None },
        Action::Move { run_at: Some(Timestamp::MIN) },
        Action::Move { run_at: Some(Timestamp::MAX) },
        Action::Purge { retention: RETENTION },
    ]);
    all
}

#[test]
fn the_drawing_in_architecture_md_is_the_machine() {
    let drawn: BTreeSet<String> = include_str!("../../../ARCHITECTURE.md")
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("-->") && line.contains(": T") && !line.starts_with("[*]"))
        .flat_map(|line| {
            let (arrow, rules) = line.split_once(": ").unwrap();
            rules.split(", ").map(move |rule| format!("{arrow}: {rule}")).collect::<Vec<_>>()
        })
        .collect();
    let coded: BTreeSet<String> =
        reachable().into_iter().map(|(rule, from, to)| format!("{from} --> {to}: T{rule}")).collect();
    assert_eq!(drawn, coded);
}
