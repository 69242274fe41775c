//! Tables and names in the documents are those of the code.

use taskloom_protocol::Code;

use crate::markdown::{self, root};

#[test]
fn the_table_of_errors_has_every_code_with_its_status() {
    let api = markdown::read("docs/api.md");
    let listed: Vec<(u16, String)> = api
        .prose
        .iter()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let status = cells.next()?.parse().ok()?;
            Some((status, cells.next()?.trim_matches('`').to_owned()))
        })
        .collect();
    let defined: Vec<_> = Code::ALL.iter().map(|code| (code.status(), code.code().to_owned())).collect();
    assert_eq!(listed, defined);
}

/// Settings, each as `section.key`.
fn settings() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("crates/cli/src/config/default.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let of_section = |(section, keys): (&String, &toml::Value)| -> Vec<String> {
        keys.as_table().unwrap().keys().map(|key| format!("{section}.{key}")).collect()
    };
    table.iter().flat_map(of_section).collect()
}

#[test]
fn settings_that_are_named_exist() {
    let settings = settings();
    let sections: Vec<&str> = settings.iter().filter_map(|s| Some(s.split_once('.')?.0)).collect();
    let mut unknown = Vec::new();
    for path in markdown::all().into_iter().filter(|p| p.starts_with("docs/") || p.starts_with("README")) {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let from_environment = text.split("TASKLOOM_").skip(1).filter_map(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            name.contains("__").then(|| name.to_lowercase().replacen("__", ".", 1))
        });
        let from_prose = text.split('`').skip(1).step_by(2).filter_map(|word| {
            let (section, key) = word.split_once('.')?;
            let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && key.contains('_');
            (is_key && sections.contains(&section)).then(|| word.to_owned())
        });
        let wrong =
            from_environment.chain(from_prose).filter(|s| s != "section.key" && !settings.contains(s));
        unknown.extend(wrong.map(|s| format!("{path}: {s}")));
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn make_targets_that_are_named_exist() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let mut unknown = Vec::new();
    for path in markdown::all() {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        for before in ["`make ", "\nmake "] {
            for rest in text.split(before).skip(1) {
                let target: String =
                    rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                if !makefile.contains(&format!("\n{target}:")) {
                    unknown.push(format!("{path}: make {target}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}
