//! What the server refused, in words with what to do next.

use taskloom_client::transport::StatusCode;
use taskloom_client::{Error, Problem};
use taskloom_protocol::FieldError;

use super::auth::Proof;
use crate::error::{CliError, Exit};
use crate::output::plain;

/// Whether the server does not accept the token.
pub(super) fn is_unauthorized(error: &Error) -> bool {
    match error {
        Error::Problem(problem) => problem.status == StatusCode::UNAUTHORIZED,
        Error::Foreign { status, .. } => *status == StatusCode::UNAUTHORIZED,
        _ => false,
    }
}

/// Explains why a call to this path with this proof did not succeed.
pub(super) fn explain(error: Error, server: &str, path: &str, proof: Proof) -> CliError {
    let no_such = matches!(&error, Error::Problem(problem) if is_about_path(problem));
    let explained = match &error {
        Error::Problem(problem)
            if problem.status == StatusCode::UNAUTHORIZED && problem.code != "bad_credentials" =>
        {
            unauthorized(server, &plain(&problem.to_string()), proof)
        }
        _ => error.into(),
    };
    if no_such && path.starts_with("/tasks/") {
        explained.hint("`taskloom list` shows the tasks that are there")
    } else {
        explained
    }
}

/// Whether nothing is at the path, or it cannot be one.
fn is_about_path(problem: &Problem) -> bool {
    let is_path = |field: &FieldError| field.loc.first().is_some_and(|part| part == "path");
    problem.status == StatusCode::NOT_FOUND || problem.errors.iter().any(is_path)
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

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        let message = plain(&error.to_string());
        match &error {
            Error::Problem(problem) => refused(problem, message),
            Error::Foreign { .. } => Self::new(Exit::NoAccess, message)
                .hint("is it the right address? A proxy in between may answer like that"),
            Error::Unreachable { .. } => Self::new(Exit::NoAccess, message)
                .hint("is `taskloom dev` or `taskloom serve` running there?"),
            Error::TimedOut { .. } => Self::new(Exit::NoAccess, message),
            _ => Self::failed(message),
        }
    }
}

fn refused(problem: &Problem, message: String) -> CliError {
    match problem.status {
        401 | 403 => CliError::new(Exit::NoAccess, message),
        429 | 503 => CliError::new(Exit::NoAccess, message).hint("try again in a moment"),
        500.. => match &problem.request_id {
            Some(id) => {
                CliError::failed(message).hint(format!("the server's log has it under request id {id}"))
            }
            None => CliError::failed(message),
        },
        _ => CliError::new(Exit::Refused, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, code: &str, proof: Proof) -> CliError {
        let text = format!(r#"{{"status":{status},"title":"t","detail":"no token","code":"{code}"}}"#);
        let problem = serde_json::from_str(&text).unwrap();
        explain(Error::Problem(Box::new(problem)), "http://x", "/tasks/1", proof)
    }

    #[test]
    fn a_task_that_is_not_there_is_looked_for_in_the_list() {
        let error = explained(404, "not_found", Proof::Login);
        assert_eq!(error.exit, Exit::Refused);
        assert!(error.to_string().contains("`taskloom list`"), "{error}");
    }

    #[test]
    fn the_next_step_is_said() {
        let error = explained(401, "unauthorized", Proof::None).to_string();
        assert!(error.contains("not logged in at http://x"), "{error}");
        assert!(error.contains("taskloom login --server http://x"), "{error}");
        let error = explained(401, "unauthorized", Proof::Token).to_string();
        assert!(error.contains("does not accept TASKLOOM_TOKEN"), "{error}");
    }

    #[test]
    fn what_is_not_taskloom_is_said() {
        let error = Error::Foreign { server: "http://x".into(), status: StatusCode::BAD_GATEWAY };
        let error = explain(error, "http://x", "/tasks", Proof::Login);
        assert_eq!(error.exit, Exit::NoAccess);
        assert!(error.message.contains("answered 502 Bad Gateway, not as Taskloom would"), "{error}");
    }
}
