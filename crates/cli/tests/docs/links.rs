//! Links inside the repository lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::markdown::{self, root};

/// Where a relative link leads, as a path from the root; none for addresses on the web.
pub(crate) fn resolve(from: &Path, link: &str) -> Option<(PathBuf, Option<String>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(p, a)| (p, Some(a.to_owned())));
    let joined =
        if path.is_empty() { from.to_owned() } else { from.parent().unwrap_or(Path::new("")).join(path) };
    let mut plain = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                assert!(plain.pop(), "{link} in {} leaves the repository", from.display());
            }
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    Some((plain, anchor))
}

#[test]
fn relative_links_resolve() {
    let mut broken = Vec::new();
    for path in markdown::all() {
        let document = markdown::read(&path);
        for link in document.links() {
            let Some((target, anchor)) = resolve(&document.path, &link) else { continue };
            if !root().join(&target).exists() {
                broken.push(format!("{path}: {link}"));
            } else if let Some(anchor) = anchor
                && target.extension().is_some_and(|e| e == "md")
                && !markdown::read(target.to_str().unwrap()).anchors().contains(&anchor)
            {
                broken.push(format!("{path}: {link} names no heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_docs_stands_in_its_index() {
    let index = markdown::read("docs/README.md");
    let listed: Vec<PathBuf> =
        index.links().iter().filter_map(|link| Some(resolve(&index.path, link)?.0)).collect();
    let pages = markdown::all().into_iter().filter(|p| p.starts_with("docs/") && p != "docs/README.md");
    let missing: Vec<String> = pages.filter(|page| !listed.contains(&PathBuf::from(page))).collect();
    assert!(missing.is_empty(), "docs/README.md does not list {missing:?}");
}
