//! What the server refused, in words with what to do next.

use std::error::Error;

use reqwest::StatusCode;
use serde::Deserialize;

use super::auth::Proof;
use crate::error::{CliError, Exit};
use crate::output::plain;

/// `application/problem+json`, read leniently: another version may know other codes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    request_id: Option<String>,
    errors: Vec<Field>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Field {
    loc: Vec<String>,
    msg: String,
}

/// Explains an answer that is no success to a call with this proof.
pub(super) fn explain(server: &str, status: StatusCode, text: &str, proof: Proof) -> CliError {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else { return foreign(server, status) };
    if problem.detail.is_empty() && problem.title.is_empty() {
        return foreign(server, status);
    }
    let message = plain(&sentence(&problem));
    match status {
        StatusCode::UNAUTHORIZED if problem.code == "bad_credentials" => {
            CliError::new(Exit::NoAccess, message)
        }
        StatusCode::UNAUTHORIZED => unauthorized(server, &message, proof),
        StatusCode::FORBIDDEN => CliError::new(Exit::NoAccess, message),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            CliError::new(Exit::NoAccess, message).hint("try again in a moment")
        }
        _ if status.is_server_error() => match &problem.request_id {
            Some(id) => {
                CliError::failed(message).hint(format!("the server's log has it under request id {id}"))
            }
            None => CliError::failed(message),
        },
        _ => CliError::new(Exit::Refused, message),
    }
}

fn unauthorized(server: &str, message: &str, proof: Proof) -> CliError {
    let log_in = format!("log in: taskloom login --server {server}");
    let (what, hint) = match proof {
        Proof::None => {
            (format!("you are not logged in at {server}"), format!("{log_in} (or set TASKLOOM_TOKEN)"))
        }
        Proof::Login => (format!("{server} does not accept the login any more: {message}"), log_in),
        Proof::Token => (
            format!("{server} does not accept TASKLOOM_TOKEN: {message}"),
            "set another token, or unset it and log in".to_owned(),
        ),
    };
    CliError::new(Exit::NoAccess, what).hint(hint)
}

fn sentence(problem: &Problem) -> String {
    if problem.errors.is_empty() {
        return if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
    }
    let fields = problem.errors.iter().map(|field| {
        let place: Vec<_> = field
            .loc
            .iter()
            .skip_while(|part| ["body", "query", "path"].contains(&part.as_str()))
            .cloned()
            .collect();
        if place.is_empty() { field.msg.clone() } else { format!("{}: {}", place.join("."), field.msg) }
    });
    fields.collect::<Vec<_>>().join("\n")
}

fn foreign(server: &str, status: StatusCode) -> CliError {
    CliError::new(Exit::NoAccess, format!("{server} answered {status}, not as Taskloom would"))
        .hint("is it the right address? A proxy in between may answer like that")
}

/// Explains why no answer came.
pub(super) fn unreachable(server: &str, error: &reqwest::Error) -> CliError {
    if error.is_timeout() && !error.is_connect() {
        return CliError::new(Exit::NoAccess, format!("{server} did not answer in time"));
    }
    let message =
        if error.is_connect() { format!("cannot reach {server}") } else { format!("lost {server}") };
    let cause = root_cause(error);
    CliError::new(Exit::NoAccess, format!("{message}: {cause}"))
        .hint("is `taskloom dev` or `taskloom serve` running there?")
}

fn root_cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    plain(&last.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, text: &str, proof: Proof) -> CliError {
        explain("http://x", StatusCode::from_u16(status).unwrap(), text, proof)
    }

    #[test]
    fn fields_are_named() {
        let text = r#"{"title":"t","detail":"2 fields","code":"validation","errors":[
            {"loc":["body","timeout"],"msg":"must be above 0","type":"x"},{"loc":["body","tags","3"],"msg":"too long"}]}"#;
        let error = explained(422, text, Proof::Login);
        assert_eq!(error.exit, Exit::Refused);
        assert_eq!(error.message, "timeout: must be above 0\ntags.3: too long");
    }

    #[test]
    fn the_next_step_is_said() {
        let text = r#"{"title":"Authentication is required","detail":"no token","code":"unauthorized"}"#;
        let error = explained(401, text, Proof::None).to_string();
        assert!(error.contains("not logged in at http://x"), "{error}");
        assert!(error.contains("taskloom login --server http://x"), "{error}");
        let error = explained(401, text, Proof::Token).to_string();
        assert!(error.contains("does not accept TASKLOOM_TOKEN"), "{error}");
    }

    #[test]
    fn what_is_not_taskloom_is_said() {
        for text in ["<html>", "", "{}", "[]"] {
            let error = explained(502, text, Proof::Login);
            assert_eq!(error.exit, Exit::NoAccess);
            assert!(error.message.contains("not as Taskloom would"), "{text}");
        }
    }
}
