//! One request: redirects, conditions, and a body that is cut off at its limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::allow::{Guard, Refused};
use super::cache::Validators;
use super::client::Clients;
use super::failure::Failure;
use super::pacer::Pacer;
use super::request::Plan;
use super::retry::retry_after;

/// A longer content type is cut: it stands in rows and errors.
const MAX_CONTENT_TYPE: usize = 200;

/// What a request brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The same as at the last visit.
    NotModified,
    /// A page.
    Page(Page),
}

/// An answer with its body.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where the last redirect led.
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: BytesMut,
    /// What to ask with at the next visit.
    pub(crate) validators: Option<Validators>,
}

/// The bytes that all answers of one task may have together.
#[derive(Debug)]
pub(crate) struct Total {
    most: u64,
    used: AtomicU64,
}

impl Total {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, used: AtomicU64::new(0) }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn charge(&self, bytes: u64) -> Result<(), Failure> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.most { Err(Failure::TotalTooLarge(self.most)) } else { Ok(()) }
    }
}

/// Everything that the requests of one task share.
#[derive(Debug)]
pub(crate) struct Fetcher<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) clients: &'a Clients,
    pub(crate) guard: &'a Guard,
    pub(crate) pacer: Pacer,
    pub(crate) total: Total,
    pub(crate) max_redirects: usize,
}

/// A request as it changes from redirect to redirect.
struct Hop {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    /// Time that is left for the request; waiting for its turn does not count.
    left: Duration,
}

impl Fetcher<'_> {
    /// Fetches a URL once.
    pub(crate) async fn fetch(&self, url: &Url, known: Option<&Validators>) -> Result<Fetched, Failure> {
        let mut hop = self.first_hop(url, known);
        for redirects in 0..=self.max_redirects {
            let (response, deadline) = self.send(&mut hop, redirects > 0).await?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED && known.is_some() && redirects == 0 {
                return Ok(Fetched::NotModified);
            }
            if is_redirect(status) {
                hop.follow(&response)?;
                continue;
            }
            if !status.is_success() {
                let retry_after = retry_after(response.headers(), SystemTime::now());
                return Err(Failure::Status { status: status.as_u16(), retry_after });
            }
            // What we asked for is unpacked already, and the header with it.
            if header(response.headers(), &CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
                return Err(Failure::Coding);
            }
            // Validators belong to the URL that answered, so they are of use only without a redirect.
            let validators = (redirects == 0).then(|| Validators::of(response.headers())).flatten();
            let page = self.page(hop.url, response, validators);
            let late = |_| Failure::Timeout(self.plan.timeout);
            return timeout_at(deadline, page).await.map_err(late)?.map(Fetched::Page);
        }
        Err(Failure::Redirects(self.max_redirects))
    }

    fn first_hop(&self, url: &Url, known: Option<&Validators>) -> Hop {
        let mut headers = self.plan.headers.clone();
        if let Some(known) = known {
            known.ask(&mut headers);
        }
        let plan = self.plan;
        Hop {
            url: url.clone(),
            method: plan.method.clone(),
            headers,
            body: plan.body.clone(),
            left: plan.timeout,
        }
    }

    /// Judges the hop, waits for its turn and sends it. Returns the answer and until when its body must be there.
    async fn send(&self, hop: &mut Hop, redirected: bool) -> Result<(Response, Instant), Failure> {
        let refuse = |why: Refused| if redirected { Failure::RedirectRefused(why) } else { why.into() };
        let trust = self.guard.url(&hop.url).map_err(refuse)?;
        self.pacer.wait(hop.url.authority()).await;
        let start = Instant::now();
        let deadline = start + hop.left;
        let mut request = self.clients.get(trust).request(hop.method.clone(), hop.url.clone());
        request = request.headers(hop.headers.clone());
        if let Some(body) = &hop.body {
            request = request.body(body.clone());
        }
        let sent = timeout_at(deadline, request.send()).await;
        let answer = sent.map_err(|_| Failure::Timeout(self.plan.timeout))?;
        hop.left = hop.left.saturating_sub(start.elapsed());
        let response = answer.map_err(|e| Failure::of(&e, self.plan.timeout, redirected))?;
        Ok((response, deadline))
    }

    async fn page(
        &self,
        url: Url,
        mut response: Response,
        validators: Option<Validators>,
    ) -> Result<Page, Failure> {
        let declared = header(response.headers(), &CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if self.plan.method != Method::HEAD && declared.is_some_and(|bytes| bytes > self.plan.max_bytes) {
            return Err(Failure::TooLarge(self.plan.max_bytes));
        }
        let mut body = BytesMut::new();
        let broken = |e: reqwest::Error| Failure::of(&e, self.plan.timeout, false);
        // Chunks come decompressed, so a small answer that unpacks to a huge one is cut off as well.
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            let bytes = chunk.len() as u64;
            if body.len() as u64 + bytes > self.plan.max_bytes {
                return Err(Failure::TooLarge(self.plan.max_bytes));
            }
            self.total.charge(bytes)?;
            body.extend_from_slice(&chunk);
        }
        let content_type = header(response.headers(), &CONTENT_TYPE).unwrap_or_default();
        let content_type = content_type[..content_type.floor_char_boundary(MAX_CONTENT_TYPE)].to_owned();
        Ok(Page { url, status: response.status().as_u16(), content_type, body, validators })
    }
}

impl Hop {
    /// Turns into the request that the redirect asks for.
    fn follow(&mut self, response: &Response) -> Result<(), Failure> {
        let location = header(response.headers(), &LOCATION).ok_or(Failure::BadRedirect)?;
        let next = self.url.join(location).map_err(|_| Failure::BadRedirect)?;
        if next.origin() != self.url.origin() {
            self.drop_private_headers();
        }
        self.headers.remove(IF_NONE_MATCH);
        self.headers.remove(IF_MODIFIED_SINCE);
        // Source: RFC 9110, 15.4; like browsers, 301 and 302 turn a POST into a GET.
        let status = response.status();
        let to_get = status == StatusCode::SEE_OTHER
            || matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND)
                && self.method == Method::POST;
        if to_get && self.method != Method::HEAD {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(CONTENT_TYPE);
        }
        self.url = next;
        Ok(())
    }

    /// Any header may be a secret for the first origin (`Authorization`, `Cookie`, `X-Api-Key`); few never are.
    fn drop_private_headers(&mut self) {
        let keep = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];
        let kept = keep.into_iter().filter_map(|name| {
            let value: HeaderValue = self.headers.get(&name)?.clone();
            Some((name, value))
        });
        self.headers = kept.collect();
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Validators {
    /// What an answer says to ask with next time.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| header(headers, &name).filter(|text| text.len() <= 1_000).map(str::to_owned);
        let found = Self { etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
        (found.etag.is_some() || found.last_modified.is_some()).then_some(found)
    }

    fn ask(&self, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, text: &Option<String>| {
            let value = text.as_ref().and_then(|text| HeaderValue::from_str(text).ok());
            value.map(|value| headers.insert(name, value));
        };
        set(IF_NONE_MATCH, &self.etag);
        set(IF_MODIFIED_SINCE, &self.last_modified);
    }
}
