//! The named arguments of `collect.http`, read and checked.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use taskloom_worker::HandlerError;
use url::Url;

use super::allow::Refused;
use super::extract::{Extract, Format, RawExtract};
use super::output::{Columns, Output};
use crate::CollectConfig;

const DEFAULT_CONCURRENCY: usize = 8;
const DEFAULT_RATE: f64 = 10.0;
const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_MAX_BYTES: u64 = 10 << 20;
const MAX_URL_BYTES: usize = 8 << 10;
const MAX_HEADERS: usize = 50;

/// The arguments as users send them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Arguments {
    url: Option<String>,
    urls: Option<Vec<String>>,
    method: Option<String>,
    body: Option<Value>,
    headers: BTreeMap<String, String>,
    concurrency: Option<usize>,
    rate_per_host: Option<f64>,
    retries: Option<u32>,
    timeout: Option<f64>,
    max_bytes: Option<u64>,
    extract: Option<RawExtract>,
    format: Option<Format>,
    output: Output,
    filename: Option<String>,
    etag: Option<bool>,
    fail_on: FailOn,
}

/// When failed URLs fail the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailOn {
    /// Every URL failed.
    #[default]
    All,
    /// One of them failed.
    Any,
    /// Never.
    None,
}

/// One URL to fetch.
#[derive(Debug)]
pub(crate) struct Target {
    /// As the user spelt it; rows carry this.
    pub(crate) source: String,
    pub(crate) url: Url,
}

/// What to do, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) concurrency: usize,
    pub(crate) rate_per_host: f64,
    pub(crate) retries: u32,
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) extract: Option<Extract>,
    pub(crate) format: Option<Format>,
    pub(crate) columns: Columns,
    pub(crate) filename: String,
    pub(crate) etag: bool,
    pub(crate) fail_on: FailOn,
    /// What, beside the URL, decides what a row looks like: part of the key of the ETag cache.
    pub(crate) fingerprint: String,
}

/// A rule that an argument breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) field: String,
    pub(crate) rule: String,
}

impl Broken {
    pub(crate) fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

impl From<Broken> for HandlerError {
    fn from(broken: Broken) -> Self {
        Self::fatal("bad_arguments", format_args!("kwargs.{}: {}", broken.field, broken.rule))
    }
}

impl Plan {
    pub(crate) fn new(arguments: Arguments, config: &CollectConfig) -> Result<Self, Broken> {
        let fingerprint = fingerprint(&arguments);
        let method = method(arguments.method.as_deref())?;
        let mut headers = headers(&arguments.headers)?;
        let body = body(arguments.body, &method, &mut headers)?;
        let extract = arguments.extract.map(Extract::new).transpose()?;
        check_format(extract.as_ref(), arguments.format, &method)?;
        Ok(Self {
            targets: targets(arguments.url, arguments.urls, config.max_urls)?,
            concurrency: within(
                "concurrency",
                arguments.concurrency.unwrap_or(DEFAULT_CONCURRENCY.min(config.max_concurrency)),
                1,
                config.max_concurrency,
            )?,
            rate_per_host: within(
                "rate_per_host",
                arguments.rate_per_host.unwrap_or(DEFAULT_RATE),
                0.01,
                1000.0,
            )?,
            retries: within("retries", arguments.retries.unwrap_or(DEFAULT_RETRIES), 0, 10)?,
            timeout: Duration::from_secs_f64(within(
                "timeout",
                arguments.timeout.unwrap_or(config.timeout),
                0.1,
                600.0,
            )?),
            max_bytes: within(
                "max_bytes",
                arguments.max_bytes.unwrap_or(DEFAULT_MAX_BYTES.min(config.max_bytes)),
                1,
                config.max_bytes,
            )?,
            columns: Columns::new(arguments.output, extract.as_ref()),
            filename: filename(arguments.filename, arguments.output)?,
            etag: arguments.etag.unwrap_or(true) && method == Method::GET,
            fail_on: arguments.fail_on,
            format: arguments.format,
            method,
            headers,
            body,
            extract,
            fingerprint,
        })
    }

    /// Whether a request may reach a server twice without harm.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method != Method::POST
    }
}

fn fingerprint(arguments: &Arguments) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        arguments.headers, arguments.extract, arguments.format, arguments.output, arguments.filename
    )
}

fn within<T: Copy + PartialOrd + Display>(field: &str, value: T, least: T, most: T) -> Result<T, Broken> {
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(Broken::new(field, format!("{least} to {most}")))
}

fn method(name: Option<&str>) -> Result<Method, Broken> {
    match name.unwrap_or("GET") {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "HEAD" => Ok(Method::HEAD),
        _ => Err(Broken::new("method", "GET, POST or HEAD")),
    }
}

fn targets(url: Option<String>, urls: Option<Vec<String>>, most: usize) -> Result<Vec<Target>, Broken> {
    match (url, urls) {
        (Some(url), None) => Ok(vec![target("url", url)?]),
        (None, Some(urls)) if urls.is_empty() => Err(Broken::new("urls", "at least one URL")),
        (None, Some(urls)) if urls.len() > most => Err(Broken::new("urls", format!("at most {most} URLs"))),
        (None, Some(urls)) => {
            urls.into_iter().enumerate().map(|(n, url)| target(&format!("urls[{n}]"), url)).collect()
        }
        (None, None) => Err(Broken::new("url", "give a URL here, or a list of them in `urls`")),
        (Some(_), Some(_)) => Err(Broken::new("urls", "give either `url` or `urls`")),
    }
}

fn target(field: &str, source: String) -> Result<Target, Broken> {
    if source.len() > MAX_URL_BYTES {
        return Err(Broken::new(field, format!("at most {MAX_URL_BYTES} bytes")));
    }
    let url = Url::parse(&source).map_err(|e| Broken::new(field, format!("not a URL: {e}")))?;
    let refused = |why: Refused| Err(Broken::new(field, why.to_string()));
    if !matches!(url.scheme(), "http" | "https") {
        return refused(Refused::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused(Refused::Credentials);
    }
    Ok(Target { source, url })
}

/// Headers that belong to the connection, or that the collector sets itself.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 14] = [
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "content-length",
        "accept-encoding",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ];
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, Broken> {
    if given.len() > MAX_HEADERS {
        return Err(Broken::new("headers", format!("at most {MAX_HEADERS}")));
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let broken = |rule: &str| Broken::new(format!("headers.{name}"), rule);
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken("not a header's name"))?;
        if is_reserved(&parsed) {
            return Err(broken("this header cannot be set"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| broken("not a header's value"))?;
        if headers.insert(parsed, value).is_some() {
            return Err(broken("given twice"));
        }
    }
    Ok(headers)
}

fn body(body: Option<Value>, method: &Method, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, Broken> {
    match body {
        None => Ok(None),
        Some(_) if *method != Method::POST => Err(Broken::new("body", "only with method POST")),
        Some(Value::String(text)) => Ok(Some(text.into_bytes())),
        Some(json) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Ok(Some(json.to_string().into_bytes()))
        }
    }
}

fn check_format(extract: Option<&Extract>, format: Option<Format>, method: &Method) -> Result<(), Broken> {
    let Some(extract) = extract else { return Ok(()) };
    if *method == Method::HEAD {
        return Err(Broken::new("extract", "an answer to HEAD has no body"));
    }
    match format {
        Some(format) if format != extract.format() => {
            Err(Broken::new("format", format!("`extract` reads {}", extract.format().name())))
        }
        _ => Ok(()),
    }
}

fn filename(name: Option<String>, output: Output) -> Result<String, Broken> {
    let name = name.unwrap_or_else(|| output.default_filename().to_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=100).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed) {
        return Ok(name);
    }
    let rule = "1 to 100 letters, digits, '.', '_' or '-', not starting with a dot";
    Err(Broken::new("filename", rule))
}
