//! The commands of each document, run from top to bottom in one shell, as a reader would.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::markdown::{self, Document};
use crate::site::Site;
use crate::support::{Home, PASSWORD, Process};

/// Where the documents' servers listen.
const SERVERS: [&str; 2] = ["http://localhost:8000", "http://127.0.0.1:8000"];

/// The blocks under `<!-- test -->`, with what is private to this run filled in.
fn script(document: &Document, server: &str, site: &Site) -> String {
    let mut script = String::new();
    for block in document.blocks.iter().filter(|b| b.tested) {
        assert_eq!(block.language, "bash", "line {}", block.line);
        let code = SERVERS.iter().fold(block.code.clone(), |code, public| code.replace(public, server));
        let code = site.stand_in(&code).replace("PASSWORD='…'", &format!("PASSWORD='{PASSWORD}'"));
        let _ = writeln!(script, "echo '-- line {}' >&2\n{code}", block.line);
    }
    assert!(!script.is_empty(), "{} has no tested block", document.path.display());
    script
}

fn run(path: &str) {
    let home = Home::new();
    let site = Site::start();
    let server = home.serve(&[("TASKLOOM_COLLECT__ALLOW_PRIVATE", &site.address())]);
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_taskloom"), bin.join("taskloom")).unwrap();
    let script = script(&markdown::read(path), &server.url, &site);
    let program_path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let said = home.path().join("said");
    let file = std::fs::File::create(&said).unwrap();
    let shell = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", program_path)
        .env("TASKLOOM_SERVER", &server.url)
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn();
    // Kills it if it takes too long.
    let status = Process(shell.expect("the examples need bash, curl and jq")).wait();
    let said = String::from_utf8_lossy(&std::fs::read(&said).unwrap()).into_owned();
    assert!(status.success(), "{path}: {status}\n{said}\n{}", server.log());
    server.stop();
}

macro_rules! documents {
    ($($name:ident: $path:literal,)+) => {
        $(#[test]
        fn $name() {
            run($path);
        })+

        #[test]
        fn no_document_with_tested_blocks_is_forgotten() {
            let run = [$($path),+];
            let has_tested = |path: &String| markdown::read(path).blocks.iter().any(|b| b.tested);
            // Translations have the same code; another test compares them.
            let forgotten: Vec<String> = markdown::all()
                .into_iter()
                .filter(|p| has_tested(p) && !p.contains("zh-CN") && !run.contains(&p.as_str()))
                .collect();
            assert!(forgotten.is_empty(), "{forgotten:?}");
        }
    };
}

documents! {
    readme: "README.md",
    quick_start: "docs/quick-start.md",
    api: "docs/api.md",
    worker_protocol: "docs/worker-protocol.md",
    workflows: "docs/workflows.md",
    collect_http: "docs/collect-http.md",
    configuration: "docs/configuration.md",
    operations: "docs/operations.md",
    deployment: "docs/deployment.md",
    flow_control: "docs/flow-control.md",
}
