//! Rows and fields out of pages: CSS selectors for HTML, JSON Pointer or JSONPath for JSON.

mod html;
mod json;
mod limit;
mod raw;

pub(crate) use html::title;
pub(crate) use limit::{Limit, Spent};
pub(crate) use raw::RawExtract;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::request::Broken;
use html::HtmlExtract;
use json::JsonExtract;

/// How a response is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Html,
    Json,
    Text,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    /// What a content type says; `None` for images and other things that are no text.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match mime.as_str() {
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            "application/json" | "text/json" => Some(Self::Json),
            "application/xml" | "application/javascript" | "application/x-ndjson" => Some(Self::Text),
            mime if mime.ends_with("+json") => Some(Self::Json),
            mime if mime.ends_with("+xml") || mime.starts_with("text/") => Some(Self::Text),
            _ => None,
        }
    }
}

/// Why a page gave no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtractError {
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error("the page is too large for a selector with :has()")]
    TooLargeForHas,
}

/// What to extract, checked and compiled.
#[derive(Debug)]
pub(crate) enum Extract {
    Html(HtmlExtract),
    Json(JsonExtract),
}

impl Extract {
    /// All queries are of one kind: those that start with `$` or `/` are for JSON, others are CSS selectors.
    pub(crate) fn new(raw: RawExtract) -> Result<Self, Broken> {
        raw.check_names()?;
        if raw.is_json() {
            JsonExtract::new(raw).map(Self::Json)
        } else {
            HtmlExtract::new(raw).map(Self::Html)
        }
    }

    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Html(_) => Format::Html,
            Self::Json(_) => Format::Json,
        }
    }

    /// The fields' names in the order in which they were given.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Html(html) => html.names(),
            Self::Json(json) => json.names(),
        }
    }

    /// Hands each row's values to `row`, in the order of [`Extract::names`]. `page` is what links are relative to.
    pub(crate) fn run(
        &self,
        text: &str,
        page: &Url,
        limit: &mut Limit,
        row: &mut dyn FnMut(Vec<Value>),
    ) -> Result<(), ExtractError> {
        match self {
            Self::Html(html) => html.run(text, page, limit, row),
            Self::Json(json) => json.run(text, limit, row),
        }
    }
}

#[cfg(test)]
mod tests;
