//! Bytes to text, in whatever charset a page is written.

use encoding_rs::{Encoding, UTF_8};

/// Browsers look for a page's own word about its charset in so many bytes.
const PRESCAN: usize = 1024;

/// Decodes by byte-order mark, then the `Content-Type` header, then the page's `<meta>`, then UTF-8.
/// What cannot be decoded becomes U+FFFD.
pub(crate) fn decode(body: &[u8], content_type: &str, html: bool) -> String {
    let named = charset_of(content_type).or_else(|| if html { meta(body) } else { None });
    // `decode` lets a byte-order mark win over the encoding it is called on.
    named.unwrap_or(UTF_8).decode(body).0.into_owned()
}

fn charset_of(content_type: &str) -> Option<&'static Encoding> {
    let lower = content_type.to_ascii_lowercase();
    let (_, rest) = lower.split_once("charset=")?;
    label(rest)
}

fn meta(body: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&body[..body.len().min(PRESCAN)]).to_ascii_lowercase();
    let start = head.match_indices("<meta").map(|(at, _)| &head[at..]).find_map(|tag| {
        let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
        let (_, rest) = tag.split_once("charset")?;
        rest.trim_start().strip_prefix('=').map(str::trim_start)
    })?;
    label(start)
}

fn label(text: &str) -> Option<&'static Encoding> {
    let text = text.trim_start_matches(['"', '\'', ' ']);
    let end = text.find(['"', '\'', ' ', ';', '>', '/']).unwrap_or(text.len());
    Encoding::for_label(&text.as_bytes()[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_mark_then_header_then_meta() {
        let (gbk, ..) = encoding_rs::GBK.encode("数据");
        assert_eq!(decode(&gbk, "text/html; charset=GB2312", true), "数据");
        assert_eq!(decode(&gbk, "text/plain; Charset=\"gbk\"; x=y", false), "数据");
        for meta in [
            "<meta charset=gbk>",
            "<META name=x><meta CHARSET = 'gb18030' />",
            "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=gb2312\">",
        ] {
            let page = [meta.as_bytes(), &gbk].concat();
            assert!(decode(&page, "text/html", true).ends_with("数据"), "{meta}");
            assert!(!decode(&page, "text/plain", false).ends_with("数据"), "{meta}");
        }
        assert_eq!(decode("\u{feff}é".as_bytes(), "text/html; charset=latin1", true), "é");
        assert_eq!(decode("é".as_bytes(), "text/html; charset=nonsense", true), "é");
        assert_eq!(decode(b"a\xffb", "", false), "a\u{fffd}b");
    }
}
