//! `taskloom bench`

use taskloom_bench::{BenchArgs, BenchError};

use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;

/// Measures with this very program as the server.
pub(crate) fn run(args: &BenchArgs, environment: &Environment) -> CliResult {
    let out = Output::new(false, environment);
    let program =
        std::env::current_exe().map_err(|e| CliError::failed(format!("cannot find myself: {e}")))?;
    match taskloom_bench::run(args, &program) {
        Ok(report) => {
            out.line(report.to_string());
            Ok(Exit::Ok)
        }
        Err(BenchError::Interrupted) => Err(CliError::failed("interrupted; the private data is removed")),
        Err(error) => Err(CliError::failed(error.to_string())),
    }
}
