//! What `collect.http` refuses, and how it says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test may panic; percentages are exact"
)]

#[path = "support/collecting.rs"]
mod collecting;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/site.rs"]
mod site;

use std::path::Path;

use collecting::{collect, numbers, worker, worker_with};
use serde_json::{Value, json};
use site::Site;
use taskloom_tasks::TasksConfig;

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_refused_however_they_are_spelt() {
    let site = Site::start().await;
    let harness = worker(&[]);
    let port = site.address.port();
    let hosts =
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "localhost"];
    let urls: Vec<_> = hosts.iter().map(|host| format!("http://{host}:{port}/page/1")).collect();
    let seen = collect(&harness, json!({"urls": urls, "fail_on": "none"})).await;
    for (n, host) in hosts.iter().enumerate() {
        let error = &seen.result()["errors"][n]["error"];
        assert_eq!(error, "refused: the address is not public and the operator has not listed it", "{host}");
    }
    assert_eq!(numbers(&seen.result())["retries"], 0);
    assert_eq!(site.all_hits(), 0);
    let error = collect(&harness, json!({"url": format!("http://localhost:{port}/page/1")})).await.error();
    assert!(error.starts_with("fatal collect_failed") && !error.contains("127."), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_may_open_a_network_or_a_name() {
    let site = Site::start().await;
    let port = site.address.port();
    let urls = [site.url("/page/1"), format!("http://localhost:{port}/page/2")];
    for (rule, ok) in
        [("127.0.0.0/8", 2), ("localhost", 1), (&format!("localhost:{port}"), 1), ("localhost:1", 0)]
    {
        let allow = vec![rule.parse().unwrap()];
        // Names may resolve to ::1 first; nobody listens there, and the client goes on to 127.0.0.1.
        let harness = worker_with(&[], |collect| collect.allow_private = allow);
        let seen = collect(&harness, json!({"urls": urls, "fail_on": "none", "retries": 0})).await;
        assert_eq!(seen.result()["ok"], ok, "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_stay_with_the_origin_they_were_given_for() {
    let (first, second) = (Site::start().await, Site::start().await);
    let harness = worker(&[&first, &second]);
    let headers =
        json!({"Authorization": "Bearer s", "Cookie": "c=1", "X-Api-Key": "k", "Accept-Language": "zh"});
    let sent = async |url: String| {
        let kwargs = json!({"url": url, "headers": headers});
        let text = collect(&harness, kwargs).await.rows("rows.jsonl")[0]["text"].as_str().unwrap().to_owned();
        let seen: Value = serde_json::from_str(&text).unwrap();
        ["authorization", "cookie", "x-api-key", "accept-language"].map(|name| seen.get(name).is_some())
    };
    assert_eq!(sent(first.url("/seen")).await, [true; 4]);
    assert_eq!(sent(first.url("/to?url=/seen")).await, [true; 4]);
    assert_eq!(
        sent(first.url(&format!("/to?url={}", second.url("/seen")))).await,
        [false, false, false, true]
    );
    // Not even if the second sends back to the first.
    let back = format!("/to?url={}", second.url(&format!("/to?url={}", first.url("/seen"))));
    assert_eq!(sent(first.url(&back)).await, [false, false, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_ends_are_named() {
    let site = Site::start().await;
    let port_one = "127.0.0.1:1".parse().unwrap();
    let harness = worker_with(&[&site], |collect| collect.allow_private.push(port_one));
    let tls = format!("https://{}/page/1", site.address);
    for (url, says) in [
        (site.url("/loop"), "redirected more than 5 times"),
        (site.url("/to?url=http://["), "redirected to no URL"),
        (
            site.url("/to?url=http://u:p@example.com/"),
            "redirected to a target that is refused: a URL must not carry",
        ),
        ("http://127.0.0.1:1/".into(), "cannot connect"),
        (tls, "TLS failed"),
    ] {
        let error = collect(&harness, json!({"url": url, "retries": 0})).await.error();
        assert!(error.contains(says), "{url}: {error}");
    }
    assert_eq!(site.hits("/loop"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_task_are_bounded() {
    let site = Site::start().await;
    let harness = worker_with(&[&site], |collect| collect.max_total_bytes = 1_000);
    let urls: Vec<_> = (0..20).map(|n| site.url(&format!("/page/{n}"))).collect();
    let seen = collect(&harness, json!({"urls": urls, "concurrency": 1, "rate_per_host": 1000})).await;
    let summary = seen.result();
    assert!(summary["ok"].as_u64().unwrap() >= 1 && summary["failed"].as_u64().unwrap() >= 15, "{summary}");
    assert_eq!(summary["errors"][0]["error"], "the answers of this task have more than 1000 bytes together");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_named() {
    let harness = worker_with(&[], |collect| {
        collect.max_urls = 3;
        collect.max_bytes = 1_000;
    });
    let url = "http://example.com/";
    for (kwargs, says) in [
        (json!({}), "kwargs.url: give a URL"),
        (json!({"url": url, "urls": [url]}), "kwargs.urls: give either"),
        (json!({"urls": []}), "kwargs.urls: at least one"),
        (json!({"urls": [url, url, url, url]}), "kwargs.urls: at most 3"),
        (json!({"urls": [url, "nonsense"]}), "kwargs.urls[1]: not a URL"),
        (json!({"url": "ftp://example.com/"}), "kwargs.url: only http"),
        (json!({"url": "http://u:p@example.com/"}), "kwargs.url: a URL must not carry"),
        (json!({"url": 7}), "kwargs.url"),
        (json!({"url": format!("{url}{}", "x".repeat(9_000))}), "kwargs.url: at most 8192"),
        (json!({"url": url, "uri": url}), "unknown field `uri`"),
        (json!({"url": url, "method": "PUT"}), "kwargs.method: GET, POST or HEAD"),
        (json!({"url": url, "body": "x"}), "kwargs.body: only with"),
        (json!({"url": url, "headers": {"Host": "x"}}), "kwargs.headers.Host: this header"),
        (json!({"url": url, "headers": {"Transfer-Encoding": "x"}}), "kwargs.headers.Transfer-Encoding"),
        (json!({"url": url, "headers": {"Proxy-Authorization": "x"}}), "kwargs.headers.Proxy-Authorization"),
        (json!({"url": url, "headers": {"X": "a\r\nHost: b"}}), "kwargs.headers.X: not a header's value"),
        (json!({"url": url, "headers": {"a b": "x"}}), "not a header's name"),
        (json!({"url": url, "concurrency": 0}), "kwargs.concurrency: 1 to 64"),
        (json!({"url": url, "concurrency": 65}), "kwargs.concurrency: 1 to 64"),
        (json!({"url": url, "rate_per_host": 0}), "kwargs.rate_per_host: 0.01 to 1000"),
        (json!({"url": url, "retries": 11}), "kwargs.retries: 0 to 10"),
        (json!({"url": url, "retries": -1}), "kwargs.retries"),
        (json!({"url": url, "timeout": 0}), "kwargs.timeout: 0.1 to 600"),
        (json!({"url": url, "max_bytes": 1_001}), "kwargs.max_bytes: 1 to 1000"),
        (json!({"url": url, "format": "xml"}), "kwargs.format"),
        (json!({"url": url, "output": "xlsx"}), "kwargs.output"),
        (json!({"url": url, "filename": "../x"}), "kwargs.filename: 1 to 100"),
        (json!({"url": url, "filename": ".x"}), "kwargs.filename: 1 to 100"),
        (json!({"url": url, "fail_on": "some"}), "kwargs.fail_on"),
        (
            json!({"url": url, "extract": {"fields": {"a": "li[["}}}),
            "kwargs.extract.fields.a: \"li[[\" is not",
        ),
        (
            json!({"url": url, "extract": {"fields": {"a": "b"}}, "format": "json"}),
            "kwargs.format: `extract` reads html",
        ),
        (
            json!({"url": url, "extract": {"fields": {"a": "b"}}, "method": "HEAD"}),
            "kwargs.extract: an answer to HEAD",
        ),
    ] {
        let error = collect(&harness, kwargs.clone()).await.error();
        assert!(error.starts_with("fatal bad_arguments") && error.contains(says), "{kwargs}: {error}");
    }
}

#[test]
fn the_cache_directory_is_a_setting() {
    let config: TasksConfig = serde_json::from_value(json!({"collect": {"cache_dir": "x/y"}})).unwrap();
    assert_eq!(config.collect.cache_dir.as_deref(), Some(Path::new("x/y")));
}
