//! `taskloom list`

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use taskloom_protocol::{Page, Task};

use super::{connect, now};
use crate::args::{Connection, Paging};
use crate::client::{Body, Call};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, task_table};

/// Tasks on one page when all pages are wanted.
const FULL_PAGE: u32 = 500;
/// The pages read at most: a server that never ends its list must not keep us for ever.
const MOST_PAGES: u32 = 100_000;

/// List tasks, the newest first
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom list --status running\n  taskloom list --task collect.http --limit 100\n  \
    taskloom list --status failed --json | jq -r '.items[].id'\n  \
    taskloom list --all-pages --json > tasks.jsonl   one task on each line"
)]
pub(crate) struct List {
    /// pending, running, succeeded, failed or revoked
    #[arg(long, value_parser = ["pending", "running", "succeeded", "failed", "revoked"])]
    status: Option<String>,
    /// Only tasks of this handler
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only tasks in this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only tasks with this tag
    #[arg(long)]
    tag: Option<String>,
    #[command(flatten)]
    page: Paging,
    /// All pages; with --json one task on each line
    #[arg(long, conflicts_with = "limit")]
    all_pages: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A page whose tasks pass through unread.
#[derive(Deserialize)]
struct RawPage {
    items: Vec<Box<RawValue>>,
}

impl List {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        if !self.all_pages {
            let body = client.call(self.call(self.page.limit, self.page.cursor.as_deref())).await?;
            return one_page(&body, out);
        }
        let mut cursor = self.page.cursor.clone();
        let mut seen = 0;
        for _ in 0..MOST_PAGES {
            let body = client.call(self.call(FULL_PAGE, cursor.as_deref())).await?;
            let page: Page = body.read()?;
            if out.json {
                body.read::<RawPage>()?.items.iter().for_each(|item| out.line(item.get()));
            } else {
                show(&page.items, out, seen == 0);
            }
            seen += page.items.len();
            match page.next_cursor {
                Some(next) if !page.items.is_empty() => cursor = Some(next),
                _ => return Ok(Exit::Ok),
            }
        }
        Err(CliError::failed(format!("stopped after {MOST_PAGES} pages")))
    }

    fn call(&self, limit: u32, cursor: Option<&str>) -> Call {
        let mut call = Call::get("/tasks").query("limit", limit.to_string());
        let filters =
            [("status", &self.status), ("task", &self.task), ("queue", &self.queue), ("tag", &self.tag)];
        for (name, value) in filters {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        match cursor {
            Some(cursor) => call.query("cursor", cursor),
            None => call,
        }
    }
}

fn one_page(body: &Body, out: Output) -> CliResult {
    if out.json {
        out.line(&body.0);
        return Ok(Exit::Ok);
    }
    let page: Page = body.read()?;
    show(&page.items, out, true);
    if page.next_cursor.is_some() {
        let shown = page.items.len();
        out.note(format!("{shown} of {}; --all-pages or --limit shows more", page.total));
    }
    Ok(Exit::Ok)
}

fn show(tasks: &[Task], out: Output, first: bool) {
    if tasks.is_empty() {
        if first {
            out.note("no tasks");
        }
        return;
    }
    task_table(tasks, now()).lines(out).into_iter().skip(usize::from(!first)).for_each(|line| out.line(line));
}
