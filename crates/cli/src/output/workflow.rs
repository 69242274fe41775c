//! Workflows for people: a tree of what waits for what, and how far it is.

use std::collections::HashMap;
use std::fmt::Write as _;

use taskloom_model::{Status, Timestamp};
use taskloom_protocol::{Counts, Workflow, WorkflowTask};
use unicode_width::UnicodeWidthStr;

use super::task::{age, tone};
use super::{Output, Table, Tone, clip, plain};

/// The width of the bar.
const BAR: usize = 24;
/// Nodes shown unless all are wanted.
const SHOWN: usize = 200;
/// The widest a handler's name is shown.
const HANDLER: usize = 32;
/// Levels that are drawn; deeper ones stand as far to the right.
const DEEPEST: usize = 24;

/// The workflow, a line for each node.
pub(crate) fn describe_workflow(workflow: &Workflow, all: bool, out: Output, now: Timestamp) -> String {
    let name = plain(workflow.name.as_deref().unwrap_or("workflow"));
    let mut lines = vec![
        format!("{}  {}", out.paint(Tone::Strong, &name), out.paint(Tone::Faint, &workflow.id.to_string())),
        format!(
            "{}  {} {:.0}%  {}",
            out.paint(tone(workflow.status), workflow.status.name()),
            bar(workflow.progress, out),
            workflow.progress,
            counted(&workflow.counts)
        ),
        out.paint(Tone::Faint, &format!("submitted {}", age(workflow.created_at, now))),
    ];
    if let Some(nodes) = &workflow.tasks {
        lines.push(String::new());
        lines.extend(tree(&nodes.0, if all { usize::MAX } else { SHOWN }, out));
    }
    lines.join("\n")
}

/// A table of workflows, one line for each.
pub(crate) fn workflow_table(workflows: &[Workflow], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "NAME", "STATUS", "PROGRESS", "TASKS", "CREATED"]);
    for workflow in workflows {
        table.row(vec![
            (workflow.id.to_string(), None),
            (clip(workflow.name.as_deref().unwrap_or("-"), 36), None),
            (workflow.status.to_string(), Some(tone(workflow.status))),
            (format!("{:.0}%", workflow.progress), None),
            (counted(&workflow.counts), None),
            (age(workflow.created_at, now), None),
        ]);
    }
    table
}

/// `7 of 9 done, 1 running, 1 failed`
pub(crate) fn counted(counts: &Counts) -> String {
    let Counts { total, running, succeeded, failed, revoked, .. } = *counts;
    let mut text = format!("{} of {total} done", succeeded + failed + revoked);
    for (number, what) in [(running, "running"), (failed, "failed"), (revoked, "revoked")] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text
}

fn bar(progress: f64, out: Output) -> String {
    let full = (progress / 100.0 * BAR as f64).round().clamp(0.0, BAR as f64) as usize;
    format!("{}{}", out.paint(Tone::Good, &"█".repeat(full)), out.paint(Tone::Faint, &"░".repeat(BAR - full)))
}

/// A node's line: what stands before its key, the key, what stands behind.
struct Line<'a> {
    branch: String,
    key: &'a str,
    node: &'a WorkflowTask,
    /// Parents other than the one above.
    others: Vec<&'a str>,
}

/// Each node stands below the last of those it waits for.
fn tree(nodes: &[(String, WorkflowTask)], most: usize, out: Output) -> Vec<String> {
    let places: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(place, (key, _))| (key.as_str(), place)).collect();
    let last = |node: &WorkflowTask| node.depends_on.iter().filter_map(|key| places.get(key.as_str())).max();
    let mut below: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (place, (_, node)) in nodes.iter().enumerate() {
        below.entry(last(node).copied()).or_default().push(place);
    }
    // A list, not the stack: a chain may be long.
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    let push = |open: &mut Vec<(usize, usize, String)>, above: Option<usize>, depth: usize, prefix: &str| {
        for place in below.get(&above).into_iter().flatten().rev() {
            open.push((*place, depth, prefix.to_owned()));
        }
    };
    push(&mut open, None, 0, "");
    let mut lines = Vec::new();
    while let Some((place, depth, prefix)) = open.pop() {
        if lines.len() >= most {
            break;
        }
        let Some((key, node)) = nodes.get(place) else { continue };
        let above = last(node).copied();
        let is_last = below.get(&above).and_then(|all| all.last()) == Some(&place);
        let branch = match (depth, is_last) {
            (0, _) => String::new(),
            (_, true) => format!("{prefix}└─ "),
            (_, false) => format!("{prefix}├─ "),
        };
        let parent = above.and_then(|place| nodes.get(place)).map(|(key, _)| key.as_str());
        let others = node.depends_on.iter().map(String::as_str).filter(|key| Some(*key) != parent).collect();
        lines.push(Line { branch, key, node, others });
        let deeper = match (depth, is_last) {
            (0, _) => String::new(),
            (1..DEEPEST, true) => format!("{prefix}   "),
            (1..DEEPEST, false) => format!("{prefix}│  "),
            _ => prefix,
        };
        push(&mut open, Some(place), depth + 1, &deeper);
    }
    draw(&lines, nodes.len(), out)
}

fn draw(lines: &[Line<'_>], total: usize, out: Output) -> Vec<String> {
    let width = |line: &Line<'_>| line.branch.width() + line.key.width();
    let widest = lines.iter().map(width).max().unwrap_or(0);
    let handler = |line: &Line<'_>| clip(&line.node.task, HANDLER);
    let handlers = lines.iter().map(|line| handler(line).width()).max().unwrap_or(0);
    let mut drawn: Vec<String> = lines
        .iter()
        .map(|line| {
            let (mark, name) = (mark(line.node.status), handler(line));
            let mut text = format!(
                "{}{} {}{}  {name}{}  {}",
                out.paint(Tone::Faint, &line.branch),
                out.paint(tone(line.node.status), mark),
                line.key,
                " ".repeat(widest - width(line)),
                " ".repeat(handlers - name.width()),
                standing(line.node, out)
            );
            if !line.others.is_empty() {
                text.push_str(&out.paint(Tone::Faint, &format!("  after {} too", some(&line.others))));
            }
            text
        })
        .collect();
    if lines.len() < total {
        let rest = total - lines.len();
        drawn.push(out.paint(Tone::Faint, &format!("… and {rest} more; --all shows them")));
    }
    drawn
}

fn mark(status: Status) -> &'static str {
    match status {
        Status::Pending => "○",
        Status::Running => "●",
        Status::Succeeded => "✓",
        Status::Failed => "✗",
        Status::Revoked => "⊘",
    }
}

fn standing(node: &WorkflowTask, out: Output) -> String {
    let word = match (&node.items, node.reason) {
        (Some(_), _) | (None, None) if node.status == Status::Pending && node.items.is_none() => {
            node.state.name().to_owned()
        }
        (Some(_), _) | (None, None) => node.status.name().to_owned(),
        (None, Some(_)) if node.status == Status::Pending => node.state.name().to_owned(),
        (None, Some(reason)) => format!("{} ({reason})", node.status),
    };
    let mut text = out.paint(tone(node.status), &word);
    if node.status == Status::Running {
        let _ = write!(text, " {:.0}%", node.progress);
    }
    if let Some(items) = &node.items {
        let _ = write!(text, "  ×{}: {}", items.total, counted(items));
    }
    text
}

/// A few of the names.
fn some(names: &[&str]) -> String {
    const FEW: usize = 3;
    let rest = names.len().saturating_sub(FEW);
    let mut text = names.iter().take(FEW).copied().collect::<Vec<_>>().join(", ");
    if rest > 0 {
        let _ = write!(text, " and {rest} others");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_shows_what_waits_for_what() {
        let text = r#"{"id":"00000000-0000-0000-0000-000000000001","name":"nightly","status":"running","progress":50.0,
            "counts":{"total":6,"pending":2,"running":1,"succeeded":3,"failed":0,"revoked":0},
            "user_id":"00000000-0000-0000-0000-000000000002","created_at":"2026-01-01T00:00:00Z","cancelled_at":null,
            "tasks":{
              "extract":{"id":"00000000-0000-0000-0000-000000000003","task":"collect.http","state":"succeeded","status":"succeeded","progress":100.0},
              "check":{"id":"00000000-0000-0000-0000-000000000003","task":"demo.echo","state":"succeeded","status":"succeeded","progress":100.0},
              "each":{"id":"00000000-0000-0000-0000-000000000003","task":"demo.echo","state":"succeeded","status":"running","progress":50.0,
                "depends_on":["extract"],"items":{"total":2,"pending":0,"running":1,"succeeded":1,"failed":0,"revoked":0}},
              "report":{"id":"00000000-0000-0000-0000-000000000003","task":"demo.echo","state":"blocked","status":"pending","reason":"dependencies","progress":0.0,
                "depends_on":["check","each"]},
              "mail":{"id":"00000000-0000-0000-0000-000000000003","task":"demo.echo","state":"ready","status":"pending","progress":0.0,"depends_on":["extract"]}}}"#;
        let workflow: Workflow = serde_json::from_str(text).unwrap();
        let out = Output { json: false, color: false, err_color: false, live: false };
        let drawn = describe_workflow(&workflow, false, out, workflow.created_at);
        let expected = "\
nightly  00000000-0000-0000-0000-000000000001
running  ████████████░░░░░░░░░░░░ 50%  3 of 6 done, 1 running
submitted just now

✓ extract       collect.http  succeeded
├─ ● each       demo.echo     running 50%  ×2: 1 of 2 done, 1 running
│  └─ ○ report  demo.echo     blocked  after check too
└─ ○ mail       demo.echo     ready
✓ check         demo.echo     succeeded";
        assert_eq!(drawn, expected, "\n{drawn}");
        let few = tree(&workflow.tasks.unwrap().0, 2, out);
        assert_eq!(few[2], "… and 3 more; --all shows them");
    }
}
