//! As much of Markdown as the documents use.

use std::path::{Path, PathBuf};

/// A fenced block of code.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) code: String,
    /// The line of its first fence, from 1.
    pub(crate) line: usize,
    /// Whether `<!-- test -->` stands above it.
    pub(crate) tested: bool,
}

/// A document, taken apart.
#[derive(Default)]
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// Level and text.
    pub(crate) headings: Vec<(usize, String)>,
    /// All that is not code.
    pub(crate) prose: Vec<String>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Reads a document by its path from the root.
pub(crate) fn read(path: &str) -> Document {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    Document { path: path.into(), ..parse(&text) }
}

/// All documents that people write, by their paths from the root.
pub(crate) fn all() -> Vec<String> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

fn collect(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" && name != "data" {
                collect(&path, found);
            }
        } else if Path::new(&name).extension().is_some_and(|e| e == "md") {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut open: Option<Block> = None;
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (language, tested) = (language.to_owned(), before.trim() == "<!-- test -->");
                open = Some(Block { language, tested, code: String::new(), line: index + 1 });
            }
            (Some(_), Some(_)) => document.blocks.extend(open.take()),
            (Some(block), None) => block.code.extend([line, "\n"]),
            (None, None) => {
                let level = line.chars().take_while(|&c| c == '#').count();
                if level > 0 && line[level..].starts_with(' ') {
                    document.headings.push((level, line[level..].trim().to_owned()));
                }
                document.prose.push(line.to_owned());
            }
        }
        before = line;
    }
    assert!(open.is_none(), "a block of code does not end");
    document
}

impl Document {
    /// The targets of all links, in order.
    pub(crate) fn links(&self) -> Vec<String> {
        let mut found = Vec::new();
        for line in &self.prose {
            let mut rest = line.as_str();
            while let Some(start) = rest.find("](") {
                rest = &rest[start + 2..];
                let Some(end) = rest.find(')') else { break };
                found.push(rest[..end].to_owned());
            }
        }
        found
    }

    /// The anchors that links can point to, as GitHub names them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        self.headings.iter().map(|(_, text)| anchor(text)).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}
