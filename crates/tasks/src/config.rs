//! What an operator sets about the built-in handlers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::AllowRule;

/// The settings of the built-in handlers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TasksConfig {
    /// `collect.http`.
    pub collect: CollectConfig,
}

/// The bounds of `collect.http`; what a task asks for beyond them is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectConfig {
    /// Destinations outside the public internet that tasks may reach; none by default.
    pub allow_private: Vec<AllowRule>,
    /// URLs in one task.
    pub max_urls: usize,
    /// Requests in flight in one task.
    pub max_concurrency: usize,
    /// Bytes of one response after decompression that a task may ask for.
    pub max_bytes: u64,
    /// Bytes of all responses of one task together.
    pub max_total_bytes: u64,
    /// Seconds for one request, redirects and body included, unless the task says otherwise.
    pub timeout: f64,
    /// What the requests call themselves, unless the task sends a `User-Agent`.
    pub user_agent: String,
    /// Redirects to follow for one request.
    pub max_redirects: usize,
    /// Where the ETags of earlier runs are kept; without it every run fetches anew.
    pub cache_dir: Option<PathBuf>,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            max_urls: 10_000,
            max_concurrency: 64,
            max_bytes: 100 << 20,
            max_total_bytes: 4 << 30,
            timeout: 30.0,
            user_agent: concat!("taskloom/", env!("CARGO_PKG_VERSION")).into(),
            max_redirects: 5,
            cache_dir: None,
        }
    }
}

impl CollectConfig {
    /// The first setting that breaks its rule, in words; a start should stop on it.
    ///
    /// # Errors
    /// The setting's name and its rule.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (self.max_urls >= 1, "max_urls: at least 1"),
            ((1..=1024).contains(&self.max_concurrency), "max_concurrency: 1 to 1,024"),
            (self.max_bytes >= 1, "max_bytes: at least 1"),
            (self.max_total_bytes >= 1, "max_total_bytes: at least 1"),
            ((0.1..=600.0).contains(&self.timeout), "timeout: 0.1 to 600 seconds"),
            (self.max_redirects <= 20, "max_redirects: 0 to 20"),
            (is_header_value(&self.user_agent), "user_agent: printable ASCII"),
        ];
        rules.iter().find(|(kept, _)| !kept).map_or(Ok(()), |(_, rule)| Err((*rule).to_owned()))
    }
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_unknown_or_bad_settings_do_not() {
        assert_eq!(CollectConfig::default().check(), Ok(()));
        let bad = CollectConfig { user_agent: "a\nb".into(), ..CollectConfig::default() };
        assert!(bad.check().unwrap_err().starts_with("user_agent"));
        let bad = CollectConfig { timeout: f64::NAN, ..CollectConfig::default() };
        assert!(bad.check().unwrap_err().starts_with("timeout"));
        assert!(serde_json::from_str::<TasksConfig>(r#"{"collect":{"allow_privat":[]}}"#).is_err());
        assert!(
            serde_json::from_str::<TasksConfig>(r#"{"collect":{"allow_private":["10.0.0.0/99"]}}"#).is_err()
        );
    }
}
