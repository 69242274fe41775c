//! The figures, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::args::Sizes;
use crate::figure::{Figure, Goal};
use crate::machine::Machine;
use crate::series::{Curve, Curves, Point, Series};
use crate::stats::median;

/// One figure over all repetitions.
#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    /// Its stable name.
    pub id: &'static str,
    /// What it is, for people.
    pub label: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What is wanted of it; none in a quick run.
    pub goal: Option<Goal>,
    /// The median of the repetitions.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// All, in order.
    pub values: Vec<f64>,
}

/// What a benchmark found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where and how.
    pub machine: Machine,
    /// How much.
    pub sizes: Sizes,
    /// Whether it was a quick run, whose figures mean nothing.
    pub quick: bool,
    /// What was found.
    pub measures: Vec<Measure>,
    /// What was found that depends on something.
    pub series: Vec<Series>,
}

/// Gathers figures over the repetitions.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    figures: BTreeMap<Figure, Vec<f64>>,
    curves: Curves,
}

impl Recorder {
    pub(crate) fn add(&mut self, figure: Figure, value: f64) {
        self.figures.entry(figure).or_default().push(value);
    }

    pub(crate) fn add_point(&mut self, curve: Curve, x: u32, value: f64) {
        self.curves.add(curve, x, value);
    }

    /// Adds it where the system tells it.
    pub(crate) fn add_some(&mut self, figure: Figure, value: Option<f64>) {
        if let Some(value) = value {
            self.add(figure, value);
        }
    }

    pub(crate) fn report(self, machine: Machine, sizes: Sizes, quick: bool) -> Report {
        let system = machine.system_measured();
        let goal = |figure: Figure| figure.goal(system).filter(|_| !quick);
        let measures =
            self.figures.into_iter().map(|(figure, values)| measure(figure, values, goal(figure))).collect();
        Report { machine, sizes, quick, measures, series: self.curves.series() }
    }
}

fn measure(figure: Figure, values: Vec<f64>, goal: Option<Goal>) -> Measure {
    let spec = figure.spec();
    Measure {
        id: spec.id,
        label: spec.label,
        unit: spec.unit,
        goal,
        median: median(&values),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        values,
    }
}

impl Report {
    /// The figure's measure, if it was taken.
    pub fn get(&self, figure: Figure) -> Option<&Measure> {
        let id = figure.spec().id;
        self.measures.iter().find(|measure| measure.id == id)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        let rows: Vec<[String; 5]> = self.measures.iter().map(row).collect();
        let head = ["", "median", "min … max", "unit", "goal"].map(str::to_owned);
        let width = |column: usize| {
            rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let [label, middle, range, unit] = [width(0), width(1), width(2), width(3)];
        for row in [&head].into_iter().chain(&rows) {
            let line = format!(
                "{:<label$}  {:>middle$}  {:>range$}  {:<unit$}  {}",
                row[0], row[1], row[2], row[3], row[4]
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for Series { label, x_label, unit, points, .. } in &self.series {
            writeln!(f, "\n{label}, {unit}")?;
            for Point { x, median, min, max, .. } in points {
                let (x, median) = (number(f64::from(*x)), number(*median));
                writeln!(f, "  {x:>10} {x_label}  {median:>9}  ({} … {})", number(*min), number(*max))?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn write_head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { taskloom, cores, processor, system, memory_gib, .. } = &self.machine;
        writeln!(f, "taskloom {taskloom} on {cores} cores ({processor}), {memory_gib:.0} GiB, {system}")?;
        let Machine { database, dispatch, flush_ms, .. } = &self.machine;
        writeln!(f, "{database}; dispatch: {dispatch}; a flush of 4 KiB takes {flush_ms:.2} ms")?;
        let Sizes { reps, connections, concurrency, .. } = &self.sizes;
        writeln!(f, "medians of {reps}; {connections} connections; worker concurrency {concurrency}")?;
        if self.quick {
            writeln!(f, "a quick run: the figures mean nothing")?;
        }
        if !self.machine.is_release {
            writeln!(f, "not an optimised build: the figures mean nothing")?;
        }
        writeln!(f)
    }
}

fn row(measure: &Measure) -> [String; 5] {
    let Measure { median, min, max, .. } = *measure;
    let goal = match measure.goal {
        None => String::new(),
        Some(goal) => {
            let (sign, value) = match goal {
                Goal::AtLeast(value) => ('≥', value),
                Goal::AtMost(value) => ('≤', value),
            };
            let verdict = if goal.is_met(median) { "met" } else { "missed" };
            format!("{sign} {}  {verdict}", number(value))
        }
    };
    let range = format!("{} … {}", number(min), number(max));
    [measure.label.into(), number(median), range, measure.unit.into(), goal]
}

/// About three digits; thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.3}");
    }
    if value.abs() < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit != '-' && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::System;

    #[test]
    fn numbers_are_readable() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.1234, "0.123"),
            (12.345, "12.3"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        let goal = |figure: Figure| figure.goal(System::Sqlite);
        let slow = measure(Figure::DrainRate, vec![1.0, 2.0, 3.0], goal(Figure::DrainRate));
        assert_eq!(row(&slow)[4], "≥ 70,000  missed");
        let elsewhere = measure(Figure::DrainRate, vec![60_000.0], Figure::DrainRate.goal(System::Postgres));
        assert_eq!(row(&elsewhere)[4], "≥ 50,000  met");
        let quick = measure(Figure::DrainRate, vec![1.0], None);
        assert_eq!(row(&quick)[4], "");
        let small = measure(Figure::RssIdle, vec![20.0, 10.0], goal(Figure::RssIdle));
        assert_eq!(row(&small)[1..], ["15.0", "10.0 … 20.0", "MiB", "≤ 40.0  met"].map(str::to_owned));
    }
}
