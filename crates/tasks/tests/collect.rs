//! What `collect.http` does, run by a worker against a real web server.
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

use collecting::{collect, numbers, worker, worker_with};
use harness::{Seen, sha256};
use serde_json::{Value, json};
use site::{BIG, GATE, Site};
use taskloom_protocol::Outcome;

fn shop() -> Value {
    json!({"rows": "li", "fields": {"name": "a", "price": "b", "link": {"css": "a", "attr": "href"}}})
}

fn shop_rows(site: &Site, path: &str, n: usize) -> Vec<Value> {
    let row = |k| {
        json!({"url": site.url(path), "name": format!("Item {n}-{k}"), "price": format!("{k}.50"),
               "link": site.url(&format!("/item/{n}-{k}"))})
    };
    (0..3).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_pages_good_and_bad() {
    let site = Site::start().await;
    let private = Site::start().await;
    let harness = worker(&[&site]);
    let mut good: Vec<(String, usize)> = Vec::new();
    for (kind, count) in [("page", 270), ("flaky", 20), ("busy", 3), ("gzip", 5)] {
        good.extend((0..count).map(|n| (format!("/{kind}/{n}"), n)));
    }
    let to = |target: &str| format!("/to?url={target}");
    good.extend((0..5).map(|n| (to(&format!("/page/{n}")), n)));
    let mut bad: Vec<(String, &str)> = Vec::new();
    bad.extend((0..10).map(|n| (format!("/missing/{n}"), "answered with status 404")));
    bad.extend((0..2).map(|n| (format!("/slow/{n}"), "took longer than 3 seconds")));
    bad.extend((0..2).map(|n| (format!("/endless/{n}"), "the answer has more than 1000000 bytes")));
    bad.extend((0..2).map(|n| (format!("/bomb/{n}"), "the answer has more than 1000000 bytes")));
    let refused = "redirected to a target that is refused: the address is not public and the operator has not listed it";
    bad.push(("/brotli".into(), "the answer is compressed in a way that was not asked for"));
    bad.push((to("http://169.254.169.254/latest/meta-data/"), refused));
    bad.push((to(&private.url("/page/1")), refused));
    bad.push((to(&format!("http://localhost:{}/page/1", private.address.port())), refused));
    bad.push((
        to("file:///etc/passwd"),
        "redirected to a target that is refused: only http and https URLs are fetched",
    ));
    // Bad pages stand among the good ones.
    let mut paths: Vec<&str> = good.iter().map(|(path, _)| path.as_str()).collect();
    for (n, (path, _)) in bad.iter().enumerate() {
        paths.insert(n * 12, path);
    }
    let urls: Vec<String> = paths.iter().map(|path| site.url(path)).collect();

    let seen = collect(
        &harness,
        json!({"urls": urls, "extract": shop(), "retries": 1, "timeout": 3, "rate_per_host": 1000,
               "max_bytes": 1_000_000, "concurrency": 8}),
    )
    .await;

    let summary = seen.result();
    let counts = json!({"urls": 324, "ok": 303, "failed": 21, "not_modified": 0, "rows": 909, "retries": 25});
    assert_eq!(numbers(&summary), counts);
    let place = |path: &str| paths.iter().position(|p| *p == path).unwrap();
    let mut in_order = good.clone();
    in_order.sort_by_key(|(path, _)| place(path));
    let expected: Vec<Value> = in_order.iter().flat_map(|(path, n)| shop_rows(&site, path, *n)).collect();
    assert_eq!(seen.rows("rows.jsonl"), expected);
    let content = &seen.artifacts["rows.jsonl"];
    let artifact = json!({"name": "rows.jsonl", "bytes": content.len(), "sha256": sha256(content)});
    assert_eq!(summary["artifact"], artifact);
    let errors: Vec<(String, String)> = summary["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["url"].as_str().unwrap().to_owned(), e["error"].as_str().unwrap().to_owned()))
        .collect();
    let expected: Vec<_> = bad.iter().map(|(path, why)| (site.url(path), (*why).to_owned())).collect();
    assert_eq!(errors, expected[..20], "the first twenty");
    assert_eq!(summary["errors"][0]["status"], 404);
    assert_eq!(seen.logs.iter().filter(|line| line.starts_with("http")).count(), 21);
    assert_eq!(seen.progress, 100.0);
    assert_eq!(private.all_hits(), 0, "an address that is not listed was reached");
    assert!(site.most_in_flight() <= 8);
    let slow: Vec<u32> = (0..2).map(|n| site.hits(&format!("/slow/{n}"))).collect();
    assert_eq!((slow, site.hits("/missing/0"), site.hits("/bomb/0")), (vec![2, 2], 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_requests_as_allowed_run_at_once_and_no_more() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let urls: Vec<_> = (0..GATE * 3).map(|n| site.url(&format!("/gate/{n}"))).collect();
    // The gate opens only for GATE requests together.
    let seen = collect(&harness, json!({"urls": urls, "concurrency": GATE, "rate_per_host": 1000})).await;
    assert_eq!(seen.result()["ok"], GATE * 3);
    assert_eq!(site.most_in_flight(), GATE);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_one_host_keep_their_distance() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let urls: Vec<_> = (0..11).map(|n| site.url(&format!("/page/{n}"))).collect();
    let seen = collect(&harness, json!({"urls": urls, "concurrency": 11, "rate_per_host": 20})).await;
    // The eleventh turn comes ten intervals after the first, however fast the machine.
    assert!(seen.result()["elapsed_seconds"].as_f64().unwrap() >= 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_it_in_the_middle() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let mut urls: Vec<_> = (0..5).map(|n| site.url(&format!("/page/{n}"))).collect();
    urls.extend((0..300).map(|n| site.url(&format!("/slow/{n}"))));
    let kwargs = json!({"urls": urls, "timeout": 600, "rate_per_host": 1000});
    let id = harness.submit("collect.http", &json!([]), &kwargs, 1);
    harness.detail(id, |detail| detail["done"] == 5 && detail["total"] == 305 && detail["failed"] == 0).await;
    harness.cancel(id);
    let seen = harness.end(id).await;
    assert!(matches!(seen.outcome, Some(Outcome::Cancelled)), "{:?}", seen.outcome);
    assert!(seen.artifacts.is_empty());
    assert!(site.all_hits() <= 13, "no request follows a cancel");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_not_fetched_again() {
    let site = Site::start().await;
    let cache = tempfile::tempdir().unwrap();
    let harness = worker_with(&[&site], |collect| collect.cache_dir = Some(cache.path().to_owned()));
    let urls: Vec<_> = (0..5).map(|n| site.url(&format!("/tagged/{n}"))).collect();
    let kwargs = json!({"urls": urls, "extract": shop(), "rate_per_host": 1000});
    let run = async |kwargs: &Value| numbers(&collect(&harness, kwargs.clone()).await.result());
    let counts = |ok, not_modified| json!({"urls": 5, "ok": ok, "failed": 0, "not_modified": not_modified, "rows": ok * 3, "retries": 0});
    assert_eq!(run(&kwargs).await, counts(5, 0));
    assert_eq!(run(&kwargs).await, counts(0, 5));
    site.change();
    assert_eq!(run(&kwargs).await, counts(1, 4));
    let mut fresh = kwargs.clone();
    fresh["etag"] = json!(false);
    assert_eq!(run(&fresh).await, counts(5, 0));
    let mut other_rows = kwargs;
    other_rows["extract"]["fields"] = json!({"name": "a"});
    assert_eq!(run(&other_rows).await, counts(5, 0), "these rows were never made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_failed_fetches_everything_again() {
    let site = Site::start().await;
    let cache = tempfile::tempdir().unwrap();
    let harness = worker_with(&[&site], |collect| collect.cache_dir = Some(cache.path().to_owned()));
    let urls = [site.url("/tagged/1"), site.url("/missing/1")];
    let kwargs = json!({"urls": urls, "fail_on": "any"});
    assert!(collect(&harness, kwargs).await.error().starts_with("fatal collect_failed: 1 of 2 URLs failed"));
    let seen = collect(&harness, json!({"urls": urls})).await;
    assert_eq!(seen.result()["ok"], 1);
    assert_eq!(seen.result()["not_modified"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_pages_by_pointer_and_path() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let urls: Vec<_> = (1..4).map(|n| site.url(&format!("/json/{n}"))).collect();
    let extract = json!({"rows": "/items", "fields": {"z": "/id", "a": {"json": "$.tags[*]", "many": true}}});
    let seen = collect(&harness, json!({"urls": urls, "extract": extract, "filename": "items.jsonl"})).await;
    let expected: Vec<Value> = (1..4)
        .flat_map(|n| {
            let url = site.url(&format!("/json/{n}"));
            [json!({"url": url, "z": n, "a": ["a", "b"]}), json!({"url": url, "z": -n, "a": []})]
        })
        .collect();
    assert_eq!(seen.rows("items.jsonl"), expected);
    let one = r#"{"page":1,"items":[{"id":1,"tags":["a","b"]},{"id":-1}]}"#;
    assert_eq!(seen.result()["bytes"], 3 * one.len());
    // HTML does not pass for JSON.
    let kwargs = json!({"url": site.url("/page/1"), "extract": {"fields": {"a": "/x"}}});
    let error = collect(&harness, kwargs).await.error();
    assert!(error.contains("expected json, the answer is \"text/html"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_keeps_the_order_of_the_fields_and_disarms_formulas() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let url = site.url("/formula");
    // As text: the order of the fields counts.
    let kwargs =
        format!(r#"{{"url":"{url}","output":"csv","extract":{{"rows":"li","fields":{{"z":"a","m":"b"}}}}}}"#);
    let id = harness.submit_text("collect.http", "[]", &kwargs, 1);
    let seen = harness.end(id).await;
    assert_eq!(seen.result()["artifact"]["name"], "rows.csv");
    assert_eq!(seen.text("rows.csv"), format!("url,z,m\n{url},'=1+1,\"a,\"\"b\"\"\"\n{url},数据,\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_extraction_a_row_describes_the_answer() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let urls = [site.url("/page/7"), site.url("/json/1")];
    let rows = collect(&harness, json!({"urls": urls})).await.rows("rows.jsonl");
    assert_eq!(rows[0]["title"], "Page 7");
    assert_eq!(
        (&rows[0]["status"], &rows[0]["content_type"]),
        (&json!(200), &json!("text/html; charset=utf-8"))
    );
    assert!(rows[0].get("text").is_none() && rows[0]["bytes"].as_u64().unwrap() > 100);
    assert!(rows[1]["text"].as_str().unwrap().starts_with("{\"page\":1") && rows[1].get("title").is_none());
    let head = collect(&harness, json!({"url": site.url("/page/7"), "method": "HEAD"})).await;
    assert_eq!(head.rows("rows.jsonl")[0]["bytes"], 0);
    let zipped = collect(&harness, json!({"url": site.url("/gzip/7"), "method": "HEAD"})).await;
    assert_eq!(zipped.result()["ok"], 1, "there is nothing to decompress");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_page_gives_all_its_rows() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let extract = json!({"rows": "li", "fields": {"n": "b"}});
    let seen = collect(&harness, json!({"url": site.url("/big"), "extract": extract})).await;
    let rows = seen.rows("rows.jsonl");
    assert_eq!(rows.len(), BIG);
    assert!(rows.iter().enumerate().all(|(n, row)| row["n"].as_str() == Some(&n.to_string())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_sent_as_given_and_not_repeated_after_an_error() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let post = async |body: Value| {
        collect(&harness, json!({"url": site.url("/form"), "method": "POST", "body": body})).await
    };
    let answer = |seen: Seen| {
        serde_json::from_str::<Value>(seen.rows("rows.jsonl")[0]["text"].as_str().unwrap()).unwrap()
    };
    assert_eq!(
        answer(post(json!({"a": 1})).await),
        json!({"hits": 1, "body": "{\"a\":1}", "type": "application/json"})
    );
    assert_eq!(answer(post(json!("a=1")).await)["body"], "a=1");
    let error = post(json!("break")).await.error();
    assert!(error.starts_with("fatal collect_failed") && error.contains("status 500"), "{error}");
    assert_eq!(site.hits("/form"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_fail_the_task_as_asked() {
    let site = Site::start().await;
    let harness = worker(&[&site]);
    let urls = json!([site.url("/page/1"), site.url("/missing/1")]);
    let run = async |urls: &Value, fail_on: &str| {
        collect(&harness, json!({"urls": urls, "fail_on": fail_on, "retries": 0})).await
    };
    assert_eq!(run(&urls, "all").await.result()["failed"], 1);
    assert_eq!(run(&urls, "none").await.result()["failed"], 1);
    let seen = run(&urls, "any").await;
    assert_eq!(
        seen.error(),
        format!(
            "fatal collect_failed: 1 of 2 URLs failed; first {}: answered with status 404",
            urls[1].as_str().unwrap()
        )
    );
    assert_eq!(seen.rows("rows.jsonl").len(), 1, "what was collected is kept all the same");
    let missing = json!([site.url("/missing/1")]);
    assert!(run(&missing, "all").await.error().starts_with("fatal"));
    assert_eq!(run(&missing, "none").await.result()["failed"], 1);
    // Another attempt may help here.
    let flaky = json!([site.url("/flaky/1")]);
    assert!(run(&flaky, "all").await.error().starts_with("error collect_failed"));
}
