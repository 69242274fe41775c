//! `taskloom-testkit`: private servers for scripts and benchmarks.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use taskloom_testkit::{MariaDb, Postgres, Redis, Settings};

const HELP: &str = "\
Starts private database servers on free ports of 127.0.0.1 and keeps them until
its standard input closes or it is interrupted. Then they stop and their data
are removed.

Usage: taskloom-testkit serve [--durable] SERVER...

Servers:
  postgres   prints DATABASE_URL_POSTGRES=postgres://…
  mariadb    prints DATABASE_URL_MARIADB=mysql://…
  redis      prints REDIS_URL=redis://…

Options:
  --durable  settings for benchmarks: commits are on the disk, caches are large
  --help     this text

Each line is printed when its server answers.

Example (bash):
  coproc kit { taskloom-testkit serve --durable postgres redis; }
  read -r -u \"${kit[0]}\" line && export \"$line\"
  read -r -u \"${kit[0]}\" line && export \"$line\"
  psql \"$DATABASE_URL_POSTGRES\" -c 'SELECT version()'
  exec {kit[1]}>&-    # the servers stop
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return report(say(HELP));
    }
    let Some(("serve", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return report(Err("say what to serve; see --help".to_owned()));
    };
    report(serve(rest))
}

fn serve(arguments: &[String]) -> Result<(), String> {
    let durable = arguments.iter().any(|argument| argument == "--durable");
    let names: Vec<_> = arguments.iter().map(String::as_str).filter(|name| *name != "--durable").collect();
    if names.is_empty() {
        return Err("say what to serve; see --help".to_owned());
    }
    if let Some(unknown) = names.iter().find(|name| !["postgres", "mariadb", "redis"].contains(name)) {
        return Err(format!("{unknown} is not known; see --help"));
    }
    let settings = Settings { durable };
    let mut servers: Vec<Box<dyn std::any::Any>> = Vec::new();
    for name in names {
        let (variable, url, server): (_, _, Box<dyn std::any::Any>) = match name {
            "postgres" => {
                let server = Postgres::start_with(settings)?;
                ("DATABASE_URL_POSTGRES", server.url(), Box::new(server))
            }
            "mariadb" => {
                let server = MariaDb::start_with(settings)?;
                ("DATABASE_URL_MARIADB", server.url(), Box::new(server))
            }
            _ => {
                let server = Redis::start_with(settings)?;
                ("REDIS_URL", server.url(), Box::new(server))
            }
        };
        servers.push(server);
        say(&format!("{variable}={url}\n"))?;
    }
    // Whoever interrupts this process needs no handler here: the servers end with it in any case.
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut [0; 1024]), Ok(count) if count > 0) {}
    Ok(())
}

fn say(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "taskloom-testkit: {why}");
            ExitCode::FAILURE
        }
    }
}
