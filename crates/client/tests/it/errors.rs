//! How calls fail.

use std::time::Duration;

use serde_json::json;
use taskloom_client::{Client, Code, Error, Priority, Uuid};
use tokio::net::TcpListener;

use crate::scripted::{Scripted, answer};
use crate::server::Server;

#[tokio::test]
async fn a_refusal_names_the_fields_and_the_request() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let error = client.task("demo.echo").kwargs([1]).max_attempts(0).submit().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Validation));
    let problem = error.problem().unwrap();
    let fields: Vec<_> = problem.errors.iter().map(|error| error.loc.join(".")).collect();
    assert_eq!((problem.status, fields), (422, vec!["body.max_attempts".into(), "body.kwargs".into()]));
    assert!(problem.request_id.is_some());
    assert!(error.to_string().contains("max_attempts: 1 to 1000"), "{error}");
    assert!(!error.is_passing());

    let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotFound));
    let error = client.queues().list().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Forbidden));
    let stranger = Client::new(&server.url, "nobody").unwrap();
    assert_eq!(stranger.tasks().get(Uuid::nil()).await.unwrap_err().code(), Some(Code::Unauthorized));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is() {
    for (server, token) in
        [("ftp://x", "t"), ("http://u:p@x", "t"), ("http://x?a", "t"), ("x", ""), ("x", "a\nb")]
    {
        let error = Client::new(server, token).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{server} {token}: {error}");
    }
    let client = Client::new("127.0.0.1:9/", "secret").unwrap();
    assert_eq!(client.server(), "http://127.0.0.1:9");
    assert!(!format!("{client:?}").contains("secret"));
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    let error = client.task("t").priority(Priority::High).kwargs(&unwritable).submit().await.unwrap_err();
    assert!(error.to_string().starts_with("kwargs does not serialise"), "{error}");
    let error = client.task("t").idempotency_key("a\nb").submit().await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::new(&address.to_string(), "t").unwrap().timeout(Duration::from_millis(50)).tries(1);
    let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
    assert!(
        matches!(&error, Error::TimedOut { server } if *server == format!("http://{address}")),
        "{error:?}"
    );
    drop(listener);
    let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { sent: false, .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("cannot reach http://{address}: ")), "{error}");
}

#[tokio::test]
async fn others_that_answer_are_not_taken_for_taskloom() {
    let page = answer("404 Not Found", "content-type: text/html\r\n", "<html>no such page</html>");
    let moved = answer("302 Found", "location: http://127.0.0.1:9/login\r\n", "");
    let strange = answer("200 OK", "", r#"{"hello":"world"}"#);
    let tomorrow =
        json!({"title": "New", "status": 409, "code": "moon_is_full", "detail": "wait"}).to_string();
    let answers = vec![page, moved, strange, answer("409 Conflict", "", &tomorrow)];
    let server = Scripted::start(answers).await;
    let client = Client::new(&server.url, "t").unwrap();
    for status in [404, 302] {
        let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
        assert!(matches!(&error, Error::Foreign { status: s, .. } if *s == status), "{error:?}");
    }
    let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable(_)), "{error:?}");
    let error = client.tasks().get(Uuid::nil()).await.unwrap_err();
    assert_eq!((error.code(), error.problem().unwrap().code.as_str()), (None, "moon_is_full"));
}
