//! What deserves another try, and when.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use taskloom_model::{Backoff, BackoffKind};

/// However long a server asks us to stay away, we come back after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

const BACKOFF: Backoff = Backoff { kind: BackoffKind::Exponential, seconds: 0.5, max_seconds: 30.0 };

/// Whether a status may pass. `repeatable`: the request may reach the server twice without harm.
pub(crate) fn is_passing(status: u16, repeatable: bool) -> bool {
    match status {
        // The server says that it did nothing.
        429 | 503 => true,
        408 | 500..=599 => repeatable,
        _ => false,
    }
}

/// The wait before the next try, after `tries` have failed.
pub(crate) fn delay(tries: u32, asked: Option<Duration>) -> Duration {
    let own = BACKOFF.delay(tries, rand::random());
    // The jitter on top keeps all those who were sent away together from coming back together.
    asked.map_or(own, |asked| asked + own.min(Duration::from_secs(1)))
}

/// What `Retry-After` asks for: seconds or an HTTP date, at most a minute.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        let headers = [(RETRY_AFTER, value.parse().unwrap())].into_iter().collect();
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        for (value, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("86400", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:30 GMT", Some(60)),
            ("-1", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(asked(value), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_passing(status, true), "{status}");
        }
        for status in [200, 304, 400, 401, 403, 404, 410] {
            assert!(!is_passing(status, true), "{status}");
        }
        assert!(is_passing(429, false) && is_passing(503, false) && !is_passing(500, false));
    }

    #[test]
    fn a_server_is_never_asked_earlier_than_it_said() {
        for tries in 1..20 {
            assert!(delay(tries, Some(Duration::from_secs(5))) >= Duration::from_secs(5));
            assert!(delay(tries, None) <= Duration::from_secs(30));
        }
    }
}
