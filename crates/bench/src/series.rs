//! Figures that depend on something: a row of points each.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::median;

/// What is varied, and what is measured of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Curve {
    Backlog,
    BacklogClaimP99,
    History,
    PayloadSubmit,
    PayloadDrain,
    Workers,
}

impl Curve {
    /// Its id, its label, what is varied, and its unit.
    fn spec(self) -> [&'static str; 4] {
        match self {
            Self::Backlog => ["backlog", "claim and finish beside a backlog", "tasks waiting", "tasks/s"],
            Self::BacklogClaimP99 => {
                ["backlog_claim_p99", "a claim of 500 beside a backlog, p99", "tasks waiting", "ms"]
            }
            Self::History => ["history", "claim and finish beside a history", "ended tasks", "tasks/s"],
            Self::PayloadSubmit => ["payload_submit", "submit in batches", "bytes of arguments", "tasks/s"],
            Self::PayloadDrain => ["payload_drain", "drain", "bytes of arguments", "tasks/s"],
            Self::Workers => ["workers", "drain by processes", "worker processes", "tasks/s"],
        }
    }
}

/// One value of what is varied.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// The value.
    pub x: u32,
    /// The median of the repetitions.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// All, in order.
    pub values: Vec<f64>,
}

/// A row of points.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// Its stable name.
    pub id: &'static str,
    /// What it is, for people.
    pub label: &'static str,
    /// What is varied.
    pub x_label: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// The points, rising.
    pub points: Vec<Point>,
}

/// Gathers points over the repetitions.
#[derive(Debug, Default)]
pub(crate) struct Curves(BTreeMap<Curve, BTreeMap<u32, Vec<f64>>>);

impl Curves {
    pub(crate) fn add(&mut self, curve: Curve, x: u32, value: f64) {
        self.0.entry(curve).or_default().entry(x).or_default().push(value);
    }

    pub(crate) fn series(self) -> Vec<Series> {
        let points = |points: BTreeMap<u32, Vec<f64>>| {
            points.into_iter().map(|(x, values)| point(x, values)).collect()
        };
        let series = |(curve, found): (Curve, _)| {
            let [id, label, x_label, unit] = curve.spec();
            Series { id, label, x_label, unit, points: points(found) }
        };
        self.0.into_iter().map(series).collect()
    }
}

fn point(x: u32, values: Vec<f64>) -> Point {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Point { x, median: median(&values), min, max, values }
}
