//! The server's address as users write it.

use taskloom_client::address::{self, BadUrl, DEFAULT_SERVER};

use crate::error::CliError;

/// The URL of a server: `http://` may be left out, slashes at the end do not count.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn normalize(text: &str) -> Result<String, CliError> {
    address::normalize(text).map_err(|why| {
        let way_out = if why == BadUrl::Password { "; use `taskloom login`" } else { "" };
        CliError::usage(format!("{text:?} is not a server's URL: {why}{way_out}"))
            .hint(format!("it looks like {DEFAULT_SERVER} or https://tasks.example.org"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_told_with_one_that_is() {
        let told = normalize("http://u:p@x").unwrap_err().to_string();
        assert!(told.contains("it must not hold a password; use `taskloom login`"), "{told}");
        let told = normalize("ftp://x").unwrap_err().to_string();
        assert!(told.starts_with("\"ftp://x\" is not a server's URL: only http and https\n"), "{told}");
        assert!(told.contains(DEFAULT_SERVER), "{told}");
    }
}
