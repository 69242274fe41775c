//! The Chinese documents say what the English ones say.

use crate::links::resolve;
use crate::markdown::{self, Block, Document};

/// The README, and every page that has a translation.
fn pairs() -> Vec<(String, String)> {
    let pages = markdown::all().into_iter().filter(|page| page.starts_with("docs/zh-CN/"));
    let pairs = pages.map(|page| (page.replace("zh-CN/", ""), page));
    std::iter::once(("README.md".to_owned(), "README.zh-CN.md".to_owned())).chain(pairs).collect()
}

/// Code without what is said in a human language: comments, and drawings in `text` blocks stay as they are.
fn code(block: &Block) -> String {
    let without_comment = |line: &str| line.split("  #").next().unwrap_or_default().trim_end().to_owned();
    let lines = block.code.lines().filter(|line| !line.trim_start().starts_with("# ")).map(without_comment);
    format!("{} {}\n{}", block.language, block.tested, lines.collect::<Vec<_>>().join("\n"))
}

/// Where the links lead, a translation counting as its original.
fn targets(document: &Document) -> Vec<String> {
    let target = |link: &String| match resolve(&document.path, link) {
        // Anchors are headings, and headings are translated.
        Some((path, _)) => path.to_str().unwrap().replace("zh-CN/", "").replace(".zh-CN", ""),
        None => link.clone(),
    };
    let mut targets: Vec<String> = document.links().iter().map(target).collect();
    targets.sort();
    targets
}

#[test]
fn translations_mirror_their_originals() {
    let pairs = pairs();
    assert!(pairs.len() > 10, "{pairs:?}");
    for (original, translation) in pairs {
        let (one, other) = (markdown::read(&original), markdown::read(&translation));
        let levels = |d: &Document| d.headings.iter().map(|h| h.0).collect::<Vec<_>>();
        assert_eq!(levels(&one), levels(&other), "headings of {original} and {translation}");
        let blocks = |d: &Document| d.blocks.iter().map(code).collect::<Vec<_>>();
        assert_eq!(blocks(&one), blocks(&other), "code of {original} and {translation}");
        assert_eq!(targets(&one), targets(&other), "links of {original} and {translation}");
        let rows = |d: &Document| d.prose.iter().filter(|l| l.starts_with('|')).count();
        assert_eq!(rows(&one), rows(&other), "table rows of {original} and {translation}");
    }
}
