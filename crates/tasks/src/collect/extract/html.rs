//! Fields out of HTML by CSS selectors.

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink};
use scraper::{ElementRef, Html, HtmlTreeSink, Selector};
use serde_json::Value;
use url::Url;

use super::raw::{LongField, MAX_QUERY, RawExtract, field_path};
use super::{ExtractError, Limit};
use crate::collect::request::Broken;

/// The parser is fed in pieces of so many bytes: deeply nested markup costs it quadratic time, and only between
/// pieces can the clock be looked at.
const PIECE: usize = 4 << 10;

/// `:has()` looks at all descendants of each element; beyond so many nodes that takes too long.
const MAX_NODES_FOR_HAS: usize = 50_000;

/// Attributes whose value is a link, given back in full.
const LINKS: [&str; 5] = ["href", "src", "action", "poster", "cite"];

/// Compiled selectors.
#[derive(Debug)]
pub(crate) struct HtmlExtract {
    rows: Option<Selector>,
    fields: Vec<HtmlField>,
    has: bool,
}

#[derive(Debug)]
struct HtmlField {
    name: String,
    selector: Option<Selector>,
    attr: Option<String>,
    many: bool,
}

impl HtmlExtract {
    pub(crate) fn new(raw: RawExtract) -> Result<Self, Broken> {
        let has = format!("{raw:?}").to_ascii_lowercase().contains(":has(");
        let rows = raw.rows.as_deref().map(|css| selector("extract.rows", css)).transpose()?;
        let fields =
            raw.fields.0.into_iter().map(|(name, field)| HtmlField::new(name, field.into_long(false)));
        Ok(Self { rows, fields: fields.collect::<Result<_, _>>()?, has })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }

    pub(crate) fn run(
        &self,
        text: &str,
        page: &Url,
        limit: &mut Limit,
        row: &mut dyn FnMut(Vec<Value>),
    ) -> Result<(), ExtractError> {
        let document = parse(text, limit)?;
        if self.has && document.tree.values().len() > MAX_NODES_FOR_HAS {
            return Err(ExtractError::TooLargeForHas);
        }
        let Some(rows) = &self.rows else {
            row(self.values(document.root_element(), page, limit)?);
            return Ok(());
        };
        for element in document.select(rows) {
            row(self.values(element, page, limit)?);
        }
        Ok(())
    }

    fn values(&self, row: ElementRef<'_>, page: &Url, limit: &mut Limit) -> Result<Vec<Value>, ExtractError> {
        limit.spend_row()?;
        self.fields.iter().map(|field| field.value(row, page, limit)).collect()
    }
}

impl HtmlField {
    fn new(name: String, field: LongField) -> Result<Self, Broken> {
        let path = field_path(&name);
        if field.json.is_some() {
            return Err(Broken::new(path, "\"json\" does not go with \"css\""));
        }
        if field.css.is_none() && field.attr.is_none() {
            return Err(Broken::new(path, "give \"css\", \"attr\" or both"));
        }
        let selector = field.css.as_deref().map(|css| selector(&path, css)).transpose()?;
        Ok(Self { name, selector, attr: field.attr, many: field.many })
    }

    fn value(&self, row: ElementRef<'_>, page: &Url, limit: &mut Limit) -> Result<Value, ExtractError> {
        let mut found = Vec::new();
        let mut take = |element| -> Result<bool, ExtractError> {
            let value = self.text(element, page, limit)?;
            found.extend(value.map(Value::String));
            Ok(!self.many && !found.is_empty())
        };
        match &self.selector {
            None => {
                take(row)?;
            }
            Some(selector) => {
                for element in row.select(selector) {
                    if take(element)? {
                        break;
                    }
                }
            }
        }
        limit.check()?;
        Ok(if self.many { Value::Array(found) } else { found.into_iter().next().unwrap_or_default() })
    }

    /// The element's text or attribute; `None` if it has no such attribute.
    fn text(
        &self,
        element: ElementRef<'_>,
        page: &Url,
        limit: &mut Limit,
    ) -> Result<Option<String>, ExtractError> {
        let Some(attr) = &self.attr else { return text(element, limit).map(Some) };
        let Some(value) = element.attr(attr) else { return Ok(None) };
        limit.spend(value.len())?;
        let link = LINKS.contains(&attr.as_str()).then(|| page.join(value.trim()).ok()).flatten();
        Ok(Some(link.map_or_else(|| value.to_owned(), String::from)))
    }
}

/// The text below an element, with runs of white space made one space.
fn text(element: ElementRef<'_>, limit: &mut Limit) -> Result<String, ExtractError> {
    let mut joined = String::new();
    for piece in element.text() {
        limit.spend(piece.len())?;
        joined.push_str(piece);
    }
    Ok(joined.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The page's title.
pub(crate) fn title(page: &str, limit: &mut Limit) -> Result<Option<String>, ExtractError> {
    let document = parse(page, limit)?;
    let mut elements = document.tree.nodes().filter_map(ElementRef::wrap);
    let title = elements.find(|element| element.value().name() == "title");
    title.map(|element| text(element, limit)).transpose()
}

fn selector(field: &str, css: &str) -> Result<Selector, Broken> {
    if css.len() > MAX_QUERY {
        return Err(Broken::new(field, format!("at most {MAX_QUERY} bytes")));
    }
    if css.starts_with(['$', '/']) {
        return Err(Broken::new(field, "a query for JSON does not go with CSS selectors"));
    }
    Selector::parse(css).map_err(|_| Broken::new(field, format!("{css:?} is not a CSS selector")))
}

fn parse(text: &str, limit: &Limit) -> Result<Html, ExtractError> {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        limit.check()?;
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        parser.process(StrTendril::from_slice(piece));
        rest = after;
    }
    Ok(parser.finish())
}
