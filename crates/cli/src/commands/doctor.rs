//! `taskloom doctor`

use clap::Args;
use serde_json::json;
use taskloom_store::{Store, Violation};

use super::store::Place;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Tone};

/// Check the database against the rules that always hold; status 1 if one is broken
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom doctor\n  taskloom doctor --data /srv/taskloom --json\n  \
    DATABASE_URL=postgres://… taskloom doctor\n\nIt only reads, and may run beside servers and workers.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    place: Place,
}

impl Doctor {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let out = Output::new(self.place.json, environment);
        let options = self.place.existing(environment)?;
        let found = super::runtime()?
            .block_on(async { Store::open_as_is(&options).await?.check().await })
            .map_err(|e| CliError::of_database(&options, &e))?;
        tell(&found, out);
        Ok(if found.is_empty() { Exit::Ok } else { Exit::Failed })
    }
}

fn tell(found: &[Violation], out: Output) {
    if out.json {
        let broken: Vec<_> = found.iter().map(|v| json!({"rule": v.rule, "rows": v.rows})).collect();
        out.json(&json!({"healthy": found.is_empty(), "broken": broken}));
    } else if found.is_empty() {
        out.line(out.paint(Tone::Good, "healthy: every rule holds"));
    } else {
        for Violation { rule, rows } in found {
            out.line(format!("{} {rule} ({rows} rows)", out.paint(Tone::Bad, "broken:")));
        }
        out.note("keep a copy of the database before anything else, and report this as a defect");
    }
}
