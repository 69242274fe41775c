//! `taskloom artifacts`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use taskloom_client::Checksum;
use taskloom_protocol::{Artifact, Artifacts as Listed};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, Client, segment};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Output, Table, clip};

/// List the files that a task made, or fetch one
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom artifacts 0199…\n  taskloom artifacts 0199… rows.jsonl\n  \
    taskloom artifacts 0199… rows.jsonl --output - | head\n\nA fetched file is checked against its SHA-256.")]
pub(crate) struct Artifacts {
    /// The task's id
    id: String,
    /// The file to fetch; all are listed if left out
    name: Option<String>,
    /// Where to write it, - for standard output [default: its name, in the working directory]
    #[arg(long, short, value_name = "FILE", requires = "name")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Artifacts {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let path = format!("/tasks/{}/artifacts", segment(&self.id));
        let body = client.call(Call::get(&path)).await?;
        let Some(name) = &self.name else {
            if out.json {
                out.line(&body.0);
            } else {
                list(&body.read::<Listed>()?.items, out);
            }
            return Ok(Exit::Ok);
        };
        let listed: Listed = body.read()?;
        let Some(artifact) = listed.items.iter().find(|artifact| artifact.name == *name) else {
            return Err(CliError::new(Exit::Refused, format!("the task has no file {name}"))
                .hint(format!("`taskloom artifacts {}` lists what it has", self.id)));
        };
        fetch(&client, &path, artifact, self.output.as_deref(), out).await
    }
}

fn list(artifacts: &[Artifact], out: Output) {
    if artifacts.is_empty() {
        out.note("no files");
        return;
    }
    let mut table = Table::new(&["NAME", "BYTES", "TYPE", "SHA-256"]);
    for artifact in artifacts {
        table.row(vec![
            (clip(&artifact.name, 60), None),
            (artifact.bytes.to_string(), None),
            (clip(&artifact.content_type, 40), None),
            (artifact.sha256.clone(), None),
        ]);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
}

async fn fetch(
    client: &Client,
    path: &str,
    artifact: &Artifact,
    target: Option<&Path>,
    out: Output,
) -> CliResult {
    let call = Call::get(format!("{path}/{}", segment(&artifact.name))).streaming("*/*");
    if target.is_some_and(|target| target.as_os_str() == "-") {
        copy(client, call, artifact, |bytes| {
            output::raw(bytes);
            Ok(())
        })
        .await?;
        return Ok(Exit::Ok);
    }
    let target = target.map_or_else(|| local_name(&artifact.name), |target| Ok(target.to_owned()))?;
    let mut part = target.clone().into_os_string();
    part.push(".part");
    let failed = |e: io::Error| CliError::failed(format!("cannot write {}: {e}", target.display()));
    let mut file = File::create(&part).map_err(failed)?;
    let copied = copy(client, call, artifact, |bytes| file.write_all(bytes).map_err(failed)).await;
    if let Err(error) = copied {
        // Half a file helps nobody; that it cannot be removed adds nothing.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    std::fs::rename(&part, &target).map_err(failed)?;
    if out.json {
        out.json(artifact);
    } else {
        out.note(format!("{} ({} bytes)", target.display(), artifact.bytes));
    }
    Ok(Exit::Ok)
}

/// The name as a file here; the server must not choose another directory.
fn local_name(name: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(name);
    if path.file_name().is_some_and(|last| last == path.as_os_str()) {
        return Ok(path.to_owned());
    }
    Err(CliError::failed(format!("{name:?} is no plain file name"))
        .hint("say where to write it: --output FILE"))
}

async fn copy(
    client: &Client,
    call: Call,
    artifact: &Artifact,
    mut write: impl FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut answer = client.open(&call).await?;
    let mut checksum = Checksum::default();
    while let Some(chunk) = answer.chunk().await? {
        checksum.update(&chunk);
        write(&chunk)?;
    }
    if checksum.equals(&artifact.sha256) {
        Ok(())
    } else {
        Err(CliError::failed(format!("{} arrived damaged: its SHA-256 differs", artifact.name)))
    }
}
