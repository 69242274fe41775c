use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::*;

fn compile(spec: &Value) -> Result<Extract, String> {
    // Through text, as it arrives: the order of fields is kept.
    let raw = serde_json::from_str(&spec.to_string()).map_err(|e| e.to_string())?;
    Extract::new(raw).map_err(|broken| format!("{}: {}", broken.field, broken.rule))
}

fn rows_within(spec: &Value, text: &str, mut limit: Limit) -> Result<Vec<Value>, ExtractError> {
    let extract = compile(spec).unwrap();
    let page = Url::parse("https://example.com/dir/page?x=1").unwrap();
    let mut rows = Vec::new();
    extract.run(text, &page, &mut limit, &mut |values| {
        rows.push(extract.names().into_iter().zip(values).collect::<serde_json::Map<_, _>>().into());
    })?;
    Ok(rows)
}

fn rows(spec: &Value, text: &str) -> Vec<Value> {
    rows_within(spec, text, Limit::start(None)).unwrap()
}

const SHOP: &str = r#"<!doctype html><title> Shop
  &amp; more</title><ul>
  <li class=item><a href="../a?b=1">First <b>one</b></a><span class=price> 1.50 </span><i>x</i><i>y</i></li>
  <li class=item data-id=7><a href="https://other.example/z">Second</a></li>
  <li>not an item</li></ul>"#;

#[test]
fn html_rows_and_fields() {
    let spec = json!({"rows": "li.item", "fields": {
        "name": "a", "price": ".price", "link": {"css": "a", "attr": "href"},
        "marks": {"css": "i", "many": true}, "id": {"attr": "data-id"}}});
    assert_eq!(
        rows(&spec, SHOP),
        [
            json!({"name": "First one", "price": "1.50", "link": "https://example.com/a?b=1", "marks": ["x", "y"], "id": null}),
            json!({"name": "Second", "price": null, "link": "https://other.example/z", "marks": [], "id": "7"}),
        ]
    );
}

#[test]
fn html_without_rows_is_one_row() {
    let spec = json!({"fields": {"title": "title", "names": {"css": "li.item a", "many": true}}});
    assert_eq!(rows(&spec, SHOP), [json!({"title": "Shop & more", "names": ["First one", "Second"]})]);
    assert_eq!(title(SHOP, &mut Limit::start(None)).unwrap().as_deref(), Some("Shop & more"));
    assert_eq!(title("<p>x", &mut Limit::start(None)).unwrap(), None);
}

#[test]
fn json_rows_and_fields_by_pointer_and_path() {
    let text = r#"{"items":[{"id":1,"tags":["a","b"],"x/y":true},{"id":2.5,"tags":[]}],"total":2}"#;
    for rows_query in ["/items", "$.items", "$.items[*]"] {
        let spec = json!({"rows": rows_query, "fields": {
            "id": "$.id", "first": "/tags/0", "tags": "/tags", "all": {"json": "$.tags[*]", "many": true}, "odd": "/x~1y"}});
        assert_eq!(
            rows(&spec, text),
            [
                json!({"id": 1, "first": "a", "tags": ["a", "b"], "all": ["a", "b"], "odd": true}),
                json!({"id": 2.5, "first": null, "tags": [], "all": [], "odd": null}),
            ],
            "{rows_query}"
        );
    }
    assert_eq!(rows(&json!({"fields": {"n": "/total"}}), text), [json!({"n": 2})]);
    assert_eq!(rows(&json!({"rows": "/none", "fields": {"n": "/total"}}), text), [] as [Value; 0]);
    let filter = json!({"rows": "$.items[?@.id > 2]", "fields": {"id": "/id"}});
    assert_eq!(rows(&filter, text), [json!({"id": 2.5})]);
}

#[test]
fn text_that_is_not_json_says_so() {
    let spec = || json!({"fields": {"n": "/n"}});
    for text in ["", "{", "<html>", &"[".repeat(100_000)] {
        let answer = rows_within(&spec(), text, Limit::start(None));
        assert!(matches!(answer, Err(ExtractError::NotJson(_))), "{answer:?}");
    }
}

#[test]
fn specifications_are_checked() {
    for (spec, says) in [
        (json!({"fields": {}}), "extract.fields: 1 to"),
        (json!({"fields": {"a": "li[["}}), "extract.fields.a: \"li[[\" is not a CSS selector"),
        (json!({"rows": ":nonsense(", "fields": {"a": "p"}}), "extract.rows:"),
        (json!({"fields": {"a": "$.["}}), "extract.fields.a: \"$.[\" is not a JSONPath"),
        (json!({"fields": {"a": "p", "b": "/x"}}), "extract.fields.a:"),
        (json!({"rows": "li", "fields": {"b": "/x"}}), "extract.rows:"),
        (json!({"rows": "/x", "fields": {"b": {"css": "p"}}}), "extract.fields.b:"),
        (json!({"fields": {"b": {"many": true}}}), "extract.fields.b: give"),
        (json!({"fields": {"b": {"json": "/x", "attr": "id"}}}), "extract.fields.b:"),
        (json!({"fields": {"url": "p"}}), "extract.fields.url: every row"),
        (json!({"fields": {"": "p"}}), "extract.fields.: a name"),
        (json!({"fields": {"a": {"xpath": "//p"}}}), "a query, or an object"),
        (json!({"fields": {"a": 7}}), "a query, or an object"),
        (json!({"fields": {"a": "p"}, "row": "x"}), "unknown field"),
        (json!({"fields": {"a": "p".repeat(501)}}), "at most 500"),
        (json!({"fields": {"a": "$..a..b"}}), "`..`"),
        (json!({"fields": {"a": "$[*,*][*,*][*,*][*,*][*,*]"}}), "commas"),
        (json!({"fields": {"a": "$[?$.x]"}}), "`$`"),
    ] {
        let error = compile(&spec).unwrap_err();
        assert!(error.contains(says), "{spec}: {error}");
    }
    assert!(compile(&json!({"fields": {"a": "$['..,,$$..']"}})).is_ok(), "names may hold anything");
}

#[test]
fn output_is_bounded_however_small_the_page() {
    let nested = "<div>x".repeat(2_000);
    let spec = json!({"rows": "div", "fields": {"all": {"css": "div", "many": true}}});
    let limit = Limit::of(Duration::from_secs(60), 1 << 20);
    assert_eq!(rows_within(&spec, &nested, limit), Err(Spent::Bytes.into()));

    let list = format!("[{}]", vec!["[1,2,3]"; 5_000].join(","));
    let spec = json!({"rows": "/", "fields": {"all": "$"}});
    assert_eq!(rows(&spec, &list), [] as [Value; 0]);
    let spec = json!({"rows": "$..*", "fields": {"all": {"json": "$..*", "many": true}, "self": "$"}});
    let limit = Limit::of(Duration::from_secs(60), 64 << 10);
    assert_eq!(rows_within(&spec, &list, limit), Err(Spent::Bytes.into()));
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!("{}<p>x", "<div>".repeat(10_000));
    let spec = json!({"fields": {"all": "body", "last": "div > p:last-child"}});
    assert_eq!(rows(&spec, &deep), [json!({"all": "x", "last": "x"})]);
    assert_eq!(title(&deep, &mut Limit::start(None)), Ok(None));
}

#[test]
fn nesting_that_costs_quadratic_time_is_given_up() {
    let deep = "<div>".repeat(2_000_000);
    let spec = json!({"fields": {"a": "p"}});
    assert_eq!(rows_within(&spec, &deep, Limit::of(Duration::from_millis(200), 99)), Err(Spent::Time.into()));
}

#[test]
fn a_page_that_takes_too_long_is_given_up() {
    let spec = json!({"fields": {"a": "p"}});
    assert_eq!(rows_within(&spec, "<p>x", Limit::of(Duration::ZERO, 99)), Err(Spent::Time.into()));
    let many = "<p></p>".repeat(60_000);
    let spec = json!({"fields": {"a": "body:has(b)"}});
    assert_eq!(rows_within(&spec, &many, Limit::start(None)), Err(ExtractError::TooLargeForHas));
}
